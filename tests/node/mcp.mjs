// The MCP SDK's own OAuth: from a 401 of the protected resource to tokens, and to fresh ones.
import { auth, discoverOAuthServerInfo, extractWWWAuthenticateParams } from '@modelcontextprotocol/sdk/client/auth.js'
import { ask, finish, given } from './conversation.mjs'

const kept = { information: given.client }
const provider = {
  get redirectUrl() {
    return given.redirect_uri
  },
  get clientMetadata() {
    return {
      client_name: 'MCP SDK',
      redirect_uris: [given.redirect_uri],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    }
  },
  state: () => 'state-of-the-sdk',
  clientInformation: () => kept.information,
  // Whoever has been registered already needs no registration.
  ...(given.client ? {} : { saveClientInformation: (information) => (kept.information = information) }),
  tokens: () => kept.tokens,
  saveTokens: (tokens) => (kept.tokens = tokens),
  redirectToAuthorization: (url) => (kept.url = url),
  saveCodeVerifier: (verifier) => (kept.verifier = verifier),
  codeVerifier: () => kept.verifier,
}

async function visit() {
  const headers = kept.tokens ? { authorization: `Bearer ${kept.tokens.access_token}` } : {}
  return fetch(given.server, { headers })
}

const { resourceMetadataUrl, scope } = extractWWWAuthenticateParams(await visit())
const options = { serverUrl: given.server, resourceMetadataUrl, scope }
const redirected = await auth(provider, options)
const { callback } = await ask({ open: kept.url })
const authorizationCode = new URL(callback).searchParams.get('code')
const authorized = await auth(provider, { ...options, authorizationCode })
const first = { tokens: kept.tokens, status: (await visit()).status }
const again = await auth(provider, options)
const second = { tokens: kept.tokens, status: (await visit()).status }
const { authorizationServerUrl } = await discoverOAuthServerInfo(given.server, { resourceMetadataUrl })
finish({ steps: [redirected, authorized, again], first, second, authorizationServerUrl, client: kept.information })
