// client_credentials, then introspection and revocation of the token.
import { client } from './client.mjs'
import { finish, given } from './conversation.mjs'

const token = await client.clientCredentials(given.parameters)
const before = await client.introspect(token.access_token)
await client.revoke(token.access_token)
const after = await client.introspect(token.access_token)
finish({ token, before, after })
