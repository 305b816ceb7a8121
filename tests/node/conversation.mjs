// How a script talks with the test that started it: one JSON value a line, both ways.
import { createInterface } from 'node:readline'

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()

async function next() {
  const { value, done } = await lines.next()
  if (done) throw new Error('the test has gone')
  return JSON.parse(value)
}

/** What the test wants: the first line. */
export const given = await next()

/** Say something, and return the answer of the test. */
export async function ask(question) {
  console.log(JSON.stringify(question))
  return next()
}

/** Say how it went, and end. */
export function finish(result) {
  console.log(JSON.stringify(result))
  process.exit(0)
}
