// The client that the test asks for: `library` is one of the two, `auth.jwk` its private key.
import { given } from './conversation.mjs'

const { connect } = await import(`./with_${given.library}.mjs`)
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' }

async function privateKey({ jwk }) {
  return jwk && crypto.subtle.importKey('jwk', jwk, ALGORITHM, false, ['sign'])
}

export const client = await connect(given, await privateKey(given.auth))
