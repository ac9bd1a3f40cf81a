import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { newWorld, pass } from './world.js'

const world = newWorld()

/** Writes down when close resolves. */
const closing = (user: Awaited<ReturnType<typeof world.connect>>) => user.client.close().then(() => user.note('closed'))

test('close sends what may be sent, says bye, and resolves with the answer, which acknowledges', async () => {
  world.net.answers = false
  const a = await world.connect({}, { inflight: 2 })
  world.socket.bufferedAmount = 2 << 20
  for (let i = 1; i <= 3; i++) a.client.send({ event: `c${i}` })
  closing(a)
  expect(world.socket.said()).toBe('c1 c2 bye@2')
  expect(world.socket.closed).toEqual([1000, undefined])
  world.socket.data({ event: 's' })
  await pass(3000)
  expect([a.heard(), a.client.pending]).toEqual(['s', 3])
  world.socket.end(1000)
  await pass()
  expect([a.heard(), a.client.pending, a.errors]).toEqual(['disconnect closed', 1, [undefined]])
})

test('close resolves after 5 s without an answer, and nothing is acknowledged', async () => {
  world.net.answers = false
  const a = await world.connect()
  a.client.send({ event: 'c' })
  closing(a)
  await pass(4999)
  expect(a.heard()).toBe('')
  await pass(1)
  expect([a.heard(), a.client.pending]).toEqual(['disconnect closed', 1])
})

for (const [name, end] of [
  ['a bye of the server', () => world.socket.bye('shutdown', true, 1000)],
  ['no close frame', () => world.socket.end()],
  ['another code', () => world.socket.end(1001)],
] as const)
  test(`an end that is no answer acknowledges nothing: ${name}`, async () => {
    world.net.answers = false
    const a = await world.connect()
    a.client.send({ event: 'c' })
    a.client.close()
    end()
    expect(await a.client.closed).toBeUndefined()
    expect(a.client.pending).toBe(1)
  })

test('close twice is close once', async () => {
  const a = await world.connect()
  await Promise.all([a.client.close(), a.client.close()])
  await a.client.close()
  expect([world.socket.said(), a.heard()]).toEqual(['bye@0', 'disconnect'])
})

test('a callback may await close', async () => {
  const a = await world.connect({
    async onMessage({ event }, client) {
      await client.close()
      a.note(event)
    },
  })
  world.socket.data({ event: 's' })
  await pass()
  expect(a.heard()).toBe('s disconnect')
})

test('a close while there is no connection is one for good', async () => {
  const a = await world.connect()
  world.socket.end()
  await a.client.close()
  expect(a.heard()).toBe('drop disconnect')
  await pass(60_000)
  expect(world.dials).toBe(1)
})

test('a close while it dials gives the dial up', async () => {
  const a = await world.connect()
  await world.redial()
  const closed = a.client.close()
  expect(world.socket.readyState).toBeGreaterThan(1)
  await closed
  await pass(60_000)
  expect([a.heard(), world.dials]).toEqual(['drop disconnect', 2])
})

test('a close while a url is awaited gives the dial up', async () => {
  let say = (_: string) => {}
  const urls = ['wss://server/', new Promise<string>((resolve) => (say = resolve))]
  const a = await world.connect({ url: () => urls.shift()! as Promise<string> })
  world.socket.end()
  await pass(600)
  expect(urls).toEqual([])
  await a.client.close()
  say('wss://server/')
  await pass(60_000)
  expect([a.heard(), world.dials]).toEqual(['drop disconnect', 1])
})

test('a signal that is aborted before lets nobody dial', async () => {
  const a = world.dial({ signal: AbortSignal.abort(new Error('enough')) })
  await expect(a.connecting).rejects.toThrow('enough')
  expect(world.dials).toBe(0)
})

test('a signal gives the first dial up, or what is waited for before it', async () => {
  const url = { known: 'wss://server/', unknown: () => new Promise<string>(() => {}) }
  for (const dial of [{ url: url.known }, { url: url.unknown }, { url: url.known, retryFirst: true }]) {
    const stop = new AbortController()
    const a = world.dial({ ...dial, signal: stop.signal })
    await pass()
    stop.abort(new Error('enough'))
    await expect(a.connecting).rejects.toThrow('enough')
  }
  await pass(60_000)
  expect(world.dials).toBe(2)
})

test('a signal that outlives its clients keeps none of them', async () => {
  const { signal } = new AbortController()
  const a = await world.connect({ signal })
  expect(getEventListeners(signal, 'abort').length).toBe(1)
  a.client.close()
  await pass(5000)
  const b = world.dial({ signal })
  await pass()
  world.socket.end()
  await expect(b.connecting).rejects.toThrow()
  expect(getEventListeners(signal, 'abort').length).toBe(0)
})

test('a signal closes a client that is connected', async () => {
  const stop = new AbortController()
  const a = await world.connect({ signal: stop.signal })
  stop.abort()
  expect(world.socket.said()).toBe('bye@0')
  expect(await a.client.closed).toBeUndefined()
  expect(a.heard()).toBe('disconnect')
})
