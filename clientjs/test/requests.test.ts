import { expect, test } from 'vitest'
import { newWorld, pass } from './world.js'

const world = newWorld()

/** What the client has sent last, as JSON. */
const sent = () => world.socket.sent.findLast((data) => typeof data === 'string')

test('a handler whose value can not be encoded has failed', async () => {
  await world.connect({ handlers: { ask: () => 1n } })
  world.socket.data({ id: '1', event: 'ask' })
  await pass()
  expect(JSON.parse(`${sent()}`)).toEqual({
    id: '1',
    event: 'error',
    payload: { code: 'internal', message: 'internal error' },
  })
  expect(world.reported()).toEqual(['Do not know how to serialize a BigInt'])
})
