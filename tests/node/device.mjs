// device_code: the person decides while the client waits, then it polls.
import { client } from './client.mjs'
import { ask, finish, given } from './conversation.mjs'

const device = await client.device(given.parameters)
await ask({ device })
// By now the person has decided; the whole interval before the first poll would prove nothing.
finish({ device, tokens: await client.poll({ ...device, interval: 1 }) })
