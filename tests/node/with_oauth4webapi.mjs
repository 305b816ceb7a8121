// A client made of oauth4webapi: `connect` returns what the flows call.
import * as oauth from 'oauth4webapi'

const insecure = { [oauth.allowInsecureRequests]: true } // loopback only

function authentication({ method, secret, jwk }, key) {
  if (method === 'private_key_jwt') return oauth.PrivateKeyJwt({ key, kid: jwk.kid })
  if (method === 'client_secret_post') return oauth.ClientSecretPost(secret)
  return secret ? oauth.ClientSecretBasic(secret) : oauth.None()
}

/** Register a client as `metadata` says, and return what the service made of it. */
export async function register(issuer, metadata) {
  const url = new URL(issuer)
  const as = await oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, insecure))
  const answer = await oauth.dynamicClientRegistrationRequest(as, metadata, insecure)
  return oauth.processDynamicClientRegistrationResponse(answer)
}

export async function connect({ issuer, client_id, auth, dpop, algorithm = 'oidc' }, key) {
  const url = new URL(issuer)
  const found = await oauth.discoveryRequest(url, { algorithm, ...insecure })
  const as = await oauth.processDiscoveryResponse(url, found)
  const client = { client_id }
  const proof = authentication(auth, key)
  const handle = dpop ? oauth.DPoP(client, await oauth.generateKeyPair('ES256')) : undefined
  const options = { DPoP: handle, ...insecure }

  // RFC 9449, Section 8: the library keeps the nonce of the refusal, the caller asks again.
  async function settled(request, read) {
    try {
      return await read(await request())
    } catch (error) {
      if (!oauth.isDPoPNonceError(error)) throw error
      return read(await request())
    }
  }

  async function authorizationUrl(parameters, pushed) {
    const verifier = oauth.generateRandomCodeVerifier()
    const checks = { verifier, state: oauth.generateRandomState(), nonce: oauth.generateRandomNonce() }
    const asked = {
      client_id,
      response_type: 'code',
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      state: checks.state,
      nonce: checks.nonce,
      ...parameters,
    }
    const url = new URL(as.authorization_endpoint)
    url.search = new URLSearchParams(pushed ? { client_id, request_uri: await push(asked) } : asked)
    return { url, checks: { ...checks, redirectUri: asked.redirect_uri } }
  }

  async function push(asked) {
    const { request_uri } = await settled(
      () => oauth.pushedAuthorizationRequest(as, client, proof, asked, options),
      (response) => oauth.processPushedAuthorizationResponse(as, client, response),
    )
    return request_uri
  }

  async function redeem(callback, { verifier, state, nonce, redirectUri }) {
    const answer = oauth.validateAuthResponse(as, client, callback, state)
    const tokens = await settled(
      () => oauth.authorizationCodeGrantRequest(as, client, proof, answer, redirectUri, verifier, options),
      async (response) => {
        const checks = { expectedNonce: nonce, requireIdToken: true }
        const found = await oauth.processAuthorizationCodeResponse(as, client, response, checks)
        // Over TLS the library does not need it, and so does not ask whether the signature is right.
        await oauth.validateApplicationLevelSignature(as, response, insecure)
        return found
      },
    )
    return { tokens, claims: oauth.getValidatedIdTokenClaims(tokens) }
  }

  return {
    metadata: as,
    authorizationUrl,
    redeem,
    clientCredentials: (parameters) =>
      settled(
        () => oauth.clientCredentialsGrantRequest(as, client, proof, parameters, options),
        (response) => oauth.processClientCredentialsResponse(as, client, response),
      ),
    grant: (grantType, parameters) =>
      settled(
        () => oauth.genericTokenEndpointRequest(as, client, proof, grantType, parameters, options),
        (response) => oauth.processGenericTokenEndpointResponse(as, client, response),
      ),
    refresh: (token) =>
      settled(
        () => oauth.refreshTokenGrantRequest(as, client, proof, token, options),
        (response) => oauth.processRefreshTokenResponse(as, client, response),
      ),
    userinfo: (token, subject) =>
      settled(
        () => oauth.userInfoRequest(as, client, token, options),
        (response) => oauth.processUserInfoResponse(as, client, subject, response),
      ),
    device: async (parameters) =>
      oauth.processDeviceAuthorizationResponse(
        as,
        client,
        await oauth.deviceAuthorizationRequest(as, client, proof, parameters, options),
      ),
    poll: ({ device_code }) =>
      settled(
        () => oauth.deviceCodeGrantRequest(as, client, proof, device_code, options),
        (response) => oauth.processDeviceCodeResponse(as, client, response),
      ),
    introspect: async (token) =>
      oauth.processIntrospectionResponse(as, client, await oauth.introspectionRequest(as, client, proof, token, options)),
    revoke: async (token) =>
      oauth.processRevocationResponse(await oauth.revocationRequest(as, client, proof, token, options)),
    // The library leaves this URL to its caller.
    endSessionUrl(parameters) {
      const target = new URL(as.end_session_endpoint)
      target.search = new URLSearchParams(parameters)
      return target
    },
  }
}
