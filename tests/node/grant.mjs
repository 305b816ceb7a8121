// Any other grant: token exchange, an assertion.
import { client } from './client.mjs'
import { finish, given } from './conversation.mjs'

finish({ token: await client.grant(given.grant_type, given.parameters) })
