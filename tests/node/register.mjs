// Dynamic registration, then tokens of the client that came of it.
import { finish, given } from './conversation.mjs'

const { register, connect } = await import(`./with_${given.library}.mjs`)
const registered = await register(given.issuer, given.metadata)
const auth = { method: 'client_secret_basic', secret: registered.client_secret }
const client = await connect({ ...given, client_id: registered.client_id, auth })
finish({ registered, token: await client.clientCredentials(given.parameters) })
