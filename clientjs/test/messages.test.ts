import { expect, test } from 'vitest'
import { type Codec, ConnectionClosedError, type Frame, jsonCodec, SendBufferFullError } from '../src/index.js'
import { sized } from './fake.js'
import { newWorld, pass } from './world.js'

const world = newWorld()

const utf8 = new TextEncoder()

/** The JSON codec, by binary messages. */
const binaryCodec: Codec = {
  binary: true,
  encode: (frame) => utf8.encode(JSON.stringify(frame)),
  decode: (data) => jsonCodec.decode(typeof data === 'string' ? data : new TextDecoder().decode(data)),
}

test('control messages are sent as Uint8Array beside text', async () => {
  const a = await world.connect()
  a.client.send({ event: 'c' })
  a.client.close()
  const [ack, data, bye] = world.socket.sent
  expect(ack).toBeInstanceOf(Uint8Array)
  expect(data).toBe('{"event":"c"}')
  expect(bye).toBeInstanceOf(Uint8Array)
})

test('with a binary codec control messages are text, and text is nothing else', async () => {
  world.net.binary = true
  const a = await world.connect({ codec: binaryCodec })
  a.client.send({ event: 'c' })
  world.socket.data({ event: 's' })
  await pass(1000)
  expect(world.socket.sent[0]).toBe('{"t":"ack","n":0,"at":0}')
  expect(world.socket.sent[1]).toBeInstanceOf(Uint8Array)
  expect(world.socket.said()).toBe('c ack:1@1')
  await world.redial()
  world.socket.hello({ reason: 'kicked' })
  expect(a.heard()).toBe('s drop lost:kicked(c) restore')
})

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

test('an ack comes a second after the first message that it is for', async () => {
  await world.connect()
  world.socket.data({ event: 's' })
  await pass(600)
  world.socket.data({ event: 's' })
  await pass(399)
  expect(world.socket.said()).toBe('')
  await pass(1)
  expect(world.socket.said()).toBe('ack:2@0')
  await pass(9000)
  expect(world.socket.said(), 'without news').toBe('')
})

test('an ack comes after 64 messages, those of gaps included', async () => {
  await world.connect()
  for (let i = 0; i < 60; i++) world.socket.data({ event: 's' })
  world.socket.control({ t: 'gap', n: 3, at: 60 })
  expect(world.socket.said()).toBe('')
  world.socket.data({ event: 's' })
  expect(world.socket.said()).toBe('ack:64@0')
})

test('an ack comes after 32 KiB, in bytes', async () => {
  await world.connect()
  const frame = { event: 's', payload: '\u20ac'.repeat(5500) } // 3 bytes each
  world.socket.data(frame)
  expect(world.socket.said()).toBe('')
  world.socket.data(frame)
  expect(world.socket.said()).toBe('ack:2@0')
})

test('an ack comes right after each hello, also with 0', async () => {
  await world.connect() // it looks for ack:0@0
  world.socket.data({ event: 's' })
  await world.redial()
  world.socket.hello({ token: 't2', resumed: true, at: 1 })
  expect(world.socket.said()).toBe('ack:1@0')
  await pass(2000)
  expect(world.socket.said(), 'for the timer of the one before').toBe('')
})

test('nothing is acknowledged while 1,024 messages wait for callbacks, until half of them are left', async () => {
  let done = () => {}
  const a = await world.connect({ onMessage: () => new Promise<void>((resolve) => (done = resolve)) })
  for (let i = 0; i < 1101; i++) world.socket.data({ event: 's' }) // the callback of the first one runs
  await pass(5000)
  expect(world.socket.said()).toMatch(/ ack:1025@0$/)
  for (let left = 1099; left >= 512; left--) {
    expect(world.socket.said()).toBe('')
    done()
    await pass()
  }
  expect(world.socket.said()).toBe('ack:1101@0')
  await a.client.close()
})

test('a claim acknowledges what waits for callbacks, and the ack after hello is no less', async () => {
  let free = () => {}
  await world.connect({ onMessage: () => new Promise<void>((resolve) => (free = resolve)) })
  for (let i = 0; i < 1100; i++) world.socket.data({ event: 's' })
  await world.redial()
  expect(world.socket.offers[1]).toBe('wspulse.v1.resume.YWxpY2U.1100.t1')
  world.socket.hello({ token: 't2', resumed: true, at: 1100 })
  expect(world.socket.said()).toBe('ack:1100@0')
  free()
})

test('a message that is no frame is reported, dropped, and counted', async () => {
  const a = await world.connect()
  for (const text of ['{', '[{}]', 'null', '7', '']) world.socket.data(text)
  world.socket.control({ t: 'ping', at: 5 })
  world.socket.data({ event: 's', constructor: 1 } as object)
  expect(a.heard()).toBe('s')
  expect(world.reported()).toEqual(Array(5).fill('wspulse: a message is no frame: dropped'))
  await pass(1000)
  expect(world.socket.said()).toBe('ack:6@0')
})

test('gaps are told in their place', async () => {
  const a = await world.connect()
  world.socket.data({ event: 's1' })
  world.socket.control({ t: 'gap', n: 7, at: 1 })
  world.socket.data({ event: 's9' })
  expect(a.heard()).toBe('s1 gap:7 s9')
})

test('send throws when so many frames wait, and drops what is too large', async () => {
  const a = await world.connect({ sendBuffer: 2 }, { inflight: 1 })
  for (let i = 1; i <= 3; i++) a.client.send({ event: `c${i}` })
  expect(() => a.client.send({ event: 'c4' })).toThrow(SendBufferFullError)
  expect(() => a.client.send(sized('c', 513) as any)).toThrow(
    new RangeError('wspulse: 513 bytes, the server takes 512 (WithMaxMessageSize)'),
  )
  expect(() => a.client.send({ event: 'c', payload: 1n })).toThrow(TypeError)
  expect(a.client.pending).toBe(3)
  world.socket.control({ t: 'ack', n: 1, at: 0 })
  a.client.send(sized('c4', 512) as any)
  world.socket.control({ t: 'ack', n: 2, at: 0 })
  world.socket.control({ t: 'ack', n: 3, at: 0 })
  expect(world.socket.said()).toBe('c1 c2 c3 c4')
  a.client.close()
  expect(() => a.client.send({ event: 'c5' })).toThrow(ConnectionClosedError)
})

test('what is sent without a connection is sent when there is one', async () => {
  const a = await world.connect()
  world.socket.end()
  expect(a.client.connected).toBe(false)
  a.client.send({ event: 'c1' })
  await pass(500)
  world.socket.hello({ token: 't2', resumed: true })
  expect(world.socket.said()).toBe('ack:0@0 c1')
  expect(a.client.connected).toBe(true)
})

test('no more than a MiB waits in the socket', async () => {
  const a = await world.connect()
  world.socket.bufferedAmount = (1 << 20) + 1
  a.client.send({ event: 'c1' })
  await pass(1000)
  expect(world.socket.said()).toBe('')
  world.socket.bufferedAmount = 1 << 20
  await pass(20)
  expect(world.socket.said()).toBe('c1')
})

test('pending counts what is not known to be processed, and drained waits for it', async () => {
  const a = await world.connect()
  await a.client.drained()
  a.client.send({ event: 'c1' })
  a.client.send({ event: 'c2' })
  let drained = false
  a.client.drained().then(() => (drained = true))
  world.socket.control({ t: 'ack', n: 1, at: 0 })
  await pass()
  expect([a.client.pending, drained]).toEqual([1, false])
  world.socket.control({ t: 'ack', n: 2, at: 0 })
  await pass()
  expect([a.client.pending, drained]).toEqual([0, true])
})

test('drained rejects when the client ends with something pending, also later', async () => {
  const a = await world.connect()
  a.client.send({ event: 'c1' })
  const drained = expect(a.client.drained()).rejects.toThrow(ConnectionClosedError)
  world.socket.bye('kicked', false, 1000)
  await drained
  await expect(a.client.drained()).rejects.toThrow(ConnectionClosedError)
})

test('without a window what is written has been sent, and nobody acknowledges', async () => {
  const a = await world.connect({}, { window: 0, inflight: 1 })
  for (let i = 1; i <= 3; i++) a.client.send({ event: `c${i}` })
  world.socket.data({ event: 's' })
  await pass(2000)
  expect(world.socket.said()).toBe('c1 c2 c3')
  expect(a.client.pending).toBe(0)
})
