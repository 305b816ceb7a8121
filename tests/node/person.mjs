// authorization_code with PKCE (pushed where `pushed` says so), userinfo, refresh, logout.
import { client } from './client.mjs'
import { ask, finish, given } from './conversation.mjs'

const { url, checks } = await client.authorizationUrl(given.parameters, given.pushed)
const { callback } = await ask({ open: url })
const { tokens, claims } = await client.redeem(new URL(callback), checks)
const userinfo = await client.userinfo(tokens.access_token, claims.sub)
const refreshed = await client.refresh(tokens.refresh_token)
const again = await client.userinfo(refreshed.access_token, claims.sub)
const logout = client.endSessionUrl({ id_token_hint: tokens.id_token })
finish({ url, tokens, claims, userinfo, refreshed, again, logout })
