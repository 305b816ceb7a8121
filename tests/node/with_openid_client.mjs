// A client made of openid-client: `connect` returns what the flows call.
import * as openid from 'openid-client'

function authentication({ method, secret, jwk }, key) {
  if (method === 'private_key_jwt') return openid.PrivateKeyJwt({ key, kid: jwk.kid })
  if (method === 'client_secret_post') return openid.ClientSecretPost(secret)
  return secret ? openid.ClientSecretBasic(secret) : openid.None()
}

/** Register a client as `metadata` says, and return what the service made of it. */
export async function register(issuer, metadata) {
  const execute = [openid.allowInsecureRequests]
  const config = await openid.dynamicClientRegistration(new URL(issuer), metadata, undefined, { execute })
  return config.clientMetadata()
}

export async function connect({ issuer, client_id, auth, dpop, algorithm = 'oidc' }, key) {
  const config = await openid.discovery(new URL(issuer), client_id, undefined, authentication(auth, key), {
    algorithm,
    // Loopback only; and the signature of the ID token is checked although TLS would do.
    execute: [openid.allowInsecureRequests, openid.enableNonRepudiationChecks],
  })
  const handle = dpop ? openid.getDPoPHandle(config, await openid.randomDPoPKeyPair('ES256')) : undefined
  const options = { DPoP: handle }

  async function authorizationUrl(parameters, pushed) {
    const checks = {
      pkceCodeVerifier: openid.randomPKCECodeVerifier(),
      expectedState: openid.randomState(),
      expectedNonce: openid.randomNonce(),
      idTokenExpected: true,
    }
    const asked = {
      code_challenge: await openid.calculatePKCECodeChallenge(checks.pkceCodeVerifier),
      code_challenge_method: 'S256',
      state: checks.expectedState,
      nonce: checks.expectedNonce,
      ...parameters,
    }
    const url = pushed
      ? await openid.buildAuthorizationUrlWithPAR(config, asked, options)
      : openid.buildAuthorizationUrl(config, asked)
    return { url, checks }
  }

  async function redeem(callback, checks) {
    const tokens = await openid.authorizationCodeGrant(config, callback, checks, undefined, options)
    return { tokens, claims: tokens.claims() }
  }

  return {
    metadata: config.serverMetadata(),
    authorizationUrl,
    redeem,
    clientCredentials: (parameters) => openid.clientCredentialsGrant(config, parameters, options),
    grant: (grantType, parameters) => openid.genericGrantRequest(config, grantType, parameters, options),
    refresh: (token) => openid.refreshTokenGrant(config, token, undefined, options),
    userinfo: (token, subject) => openid.fetchUserInfo(config, token, subject, options),
    device: (parameters) => openid.initiateDeviceAuthorization(config, parameters),
    poll: (device) => openid.pollDeviceAuthorizationGrant(config, device, undefined, options),
    introspect: (token) => openid.tokenIntrospection(config, token),
    revoke: (token) => openid.tokenRevocation(config, token),
    endSessionUrl: (parameters) => openid.buildEndSessionUrl(config, parameters),
  }
}
