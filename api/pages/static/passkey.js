"use strict";
// Passkeys are the one thing that needs a script; everything else on these pages works without.
(() => {
  const bytes = (text) =>
    Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer)))
      .replace(/\+/g, "-")
      .replace(/\//g, "_")
      .replace(/=+$/, "");
  const say = (words) => {
    const problem = document.getElementById("problem");
    problem.textContent = words;
    problem.hidden = false;
  };
  const options = async (path, form) => {
    const answer = await fetch(path, {
      method: "POST",
      body: new URLSearchParams({ csrf: form.elements.csrf.value }),
    });
    if (!answer.ok) throw new Error("refused");
    return answer.json();
  };
  // The JSON forms of WebAuthn Level 3, Section 5.1: bytes are base64url without padding.
  const described = (credential) => {
    const response = {};
    for (const name of [
      "clientDataJSON",
      "attestationObject",
      "authenticatorData",
      "signature",
      "userHandle",
    ]) {
      const value = credential.response[name];
      if (value) response[name] = text(value);
    }
    return JSON.stringify({
      id: credential.id,
      rawId: text(credential.rawId),
      type: credential.type,
      clientExtensionResults: credential.getClientExtensionResults(),
      response,
    });
  };
  const send = (form, credential) => {
    form.elements.response.value = described(credential);
    form.submit();
  };
  const logIn = async (form) => {
    const asked = await options("/login/passkey/options", form);
    asked.challenge = bytes(asked.challenge);
    asked.allowCredentials = [];
    send(form, await navigator.credentials.get({ publicKey: asked }));
  };
  const register = async (form) => {
    const asked = await options("/account/passkeys/options", form);
    asked.challenge = bytes(asked.challenge);
    asked.user.id = bytes(asked.user.id);
    asked.excludeCredentials = (asked.excludeCredentials || []).map((known) => ({
      ...known,
      id: bytes(known.id),
    }));
    send(form, await navigator.credentials.create({ publicKey: asked }));
  };
  const onPress = (button, form, work, otherwise) => {
    button.hidden = false;
    button.addEventListener("click", async (event) => {
      event.preventDefault();
      if (!form.reportValidity()) return;
      // One prompt at a time: a second one makes the browser give up on the first.
      button.disabled = true;
      try {
        await work(form);
      } catch {
        say(otherwise);
      } finally {
        button.disabled = false;
      }
    });
  };
  if (!window.PublicKeyCredential) return;
  const login = document.getElementById("passkey-login");
  if (login) {
    const button = document.getElementById("use-passkey");
    document.getElementById("passkey").hidden = false;
    onPress(button, login, logIn, "The passkey could not be used. Try again, or go on without.");
  }
  const registration = document.getElementById("passkey-registration");
  if (registration) {
    const button = document.getElementById("add-passkey");
    onPress(button, registration, register, "The passkey could not be added. Try again.");
  }
})();
