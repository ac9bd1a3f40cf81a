import { expect, test } from 'vitest'
import { type Codec, type Frame, jsonCodec } from '../src/index.js'
import { newWorld } from './world.js'

const world = newWorld()

test('a codec may be an object with a state of its own', async () => {
  class Counting implements Codec {
    binary = false
    n = 0
    encode(frame: Frame) {
      this.n++
      return jsonCodec.encode(frame)
    }
    decode(data: string) {
      this.n++
      return jsonCodec.decode(data)
    }
  }
  const codec = new Counting()
  const a = await world.connect({ codec })
  a.client.send({ event: 'c' })
  world.socket.data({ event: 's' })
  await world.redial()
  world.socket.hello({ reason: 'expired' })
  expect(a.heard()).toBe('s drop lost:expired(c) restore')
  expect(codec.n).toBe(3)
})
