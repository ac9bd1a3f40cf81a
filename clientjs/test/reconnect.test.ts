import { expect, test, vi } from 'vitest'
import { connect, RefusedError } from '../src/index.js'
import { newWorld, pass, until } from './world.js'

const world = newWorld()

const chance = (value: number) => vi.spyOn(Math, 'random').mockReturnValue(value)
const ALMOST_1 = 1 - 2 ** -53
const LONGEST = 2 ** 31 - 1 // ms that a timer can be set for

/** How long the client waits before it dials, in ms. */
async function wait(): Promise<number> {
  const { dials } = world
  const from = Date.now()
  await until(() => world.dials > dials, LONGEST)
  return Date.now() - from
}

test('a wait is by chance up to a bound that grows from 500 ms to 30 s', async () => {
  for (const [value, share] of [
    [0, 0],
    [0.5, 0.5],
    [ALMOST_1, 1],
  ] as const) {
    chance(value)
    const a = await world.connect()
    const waits: number[] = []
    for (let i = 0; i < 9; i++) {
      world.socket.end()
      waits.push(await wait())
    }
    const bounds = [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]
    for (const [i, most] of bounds.entries()) expect(Math.abs(waits[i]! - most * share)).toBeLessThanOrEqual(1)
    await a.client.close()
  }
})

test('base, cap and jitter say otherwise', async () => {
  chance(0)
  await world.connect({ base: 100, cap: 150, jitter: 0.2 })
  const waits: number[] = []
  for (let i = 0; i < 3; i++) {
    world.socket.end()
    waits.push(await wait())
  }
  expect(waits).toEqual([80, 120, 120])
})

test('the waits begin anew after 5 s of a session, and not before', async () => {
  chance(ALMOST_1)
  await world.connect()
  await pass(4999)
  world.socket.end()
  expect(await wait()).toBe(499)
  world.socket.hello({ token: 't2', resumed: true })
  await pass(4999)
  world.socket.end()
  expect(await wait()).toBe(999)
  world.socket.hello({ token: 't3', resumed: true })
  await pass(5000)
  world.socket.end()
  expect(await wait()).toBe(499)
})

test('after of a bye is what counts, before hello too', async () => {
  chance(0.5)
  await world.connect()
  world.socket.bye('drain', true, 1001, [7000, 9000])
  expect(await wait()).toBe(8000)
  world.socket.open()
  world.socket.bye('max_connections', true, 4429, [100, 100])
  expect(await wait()).toBe(100)
  world.socket.open()
  world.socket.control({ t: 'bye', at: 0, reason: 'shutdown', reconnect: true, after: [70, 70] })
  world.socket.end() // and no close frame
  expect(await wait()).toBe(70)
})

test('an after that is longer than a timer can be does not end at once', async () => {
  await world.connect()
  world.socket.bye('drain', true, 1001, [2 ** 32, 2 ** 33])
  expect(await wait()).toBe(LONGEST)
})

for (const [reason, code] of [
  ['unauthorized', 1008],
  ['expired', 4401],
] as const)
  test(`a client that is ${reason} comes back at once, once for each good session`, async () => {
    chance(ALMOST_1)
    await world.connect()
    await pass(5000)
    for (let i = 0; i < 2; i++) {
      world.socket.bye(reason, true, code)
      expect(await wait()).toBeLessThanOrEqual(1)
      world.socket.open()
      world.socket.bye(reason, true, code)
      expect(await wait()).toBe(999)
      world.socket.hello({ token: 't2', resumed: true })
      await pass(5000)
    }
  })

test('whoever is let in no more is told so each time', async () => {
  const a = await world.connect()
  await pass(5000)
  await world.redial()
  for (let i = 0; i < 3; i++) {
    const { dials } = world
    world.socket.bye('unauthorized', true, 4401)
    await pass()
    expect(a.heard()).toBe(i ? 'drop' : 'drop drop')
    expect(a.errors.at(-1).code).toBe(4401)
    expect(await until(() => world.dials > dials, 30_000)).toBe(true)
  }
})

test('whoever is not let in twice does not try a third time, also with retryFirst', async () => {
  const a = world.dial({ retryFirst: true })
  await pass()
  for (let i = 0; i < 2; i++) {
    world.socket.bye('unauthorized', true, 4401)
    await pass(1)
  }
  await expect(a.connecting).rejects.toMatchObject({ code: 4401 })
  expect(world.dials).toBe(2)
})

test('url and protocols are called for each dial', async () => {
  let n = 0
  await world.connect({ url: async () => `https://server/${++n}`, protocols: () => [`token-${n}`] })
  await world.redial()
  const { sockets } = world.net
  expect(sockets.map((s) => s.url)).toEqual(['wss://server/1', 'wss://server/2'])
  expect(sockets[1]!.offers).toEqual(['wspulse.v1', 'wspulse.v1.resume.YWxpY2U.0.t1', 'token-2'])
})

test('a url may be relative to the page', async () => {
  vi.stubGlobal('location', new URL('https://example.com/chat/'))
  await world.connect({ url: '../ws?room=r' })
  expect(world.socket.url).toBe('wss://example.com/ws?room=r')
})

test('a url that throws, rejects or never comes is a dial that fails', async () => {
  const urls = [() => 'wss://server/', () => Promise.reject(new Error('no')), () => new Promise<string>(() => {})]
  const thrower = () => {
    throw new Error('no')
  }
  urls.push(thrower, () => 'wss://server/')
  let n = 0
  const a = await world.connect({ url: () => urls[n++]!() })
  world.socket.end()
  expect(await until(() => world.dials === 2, 60_000)).toBe(true)
  expect(n).toBe(5)
  world.socket.hello({ token: 't2', resumed: true })
  expect(a.heard()).toBe('drop restore')
})

test('a dial has 5 s, for hello too', async () => {
  const a = await world.connect()
  await world.redial()
  await pass(4999)
  expect(world.socket.readyState).toBe(0)
  await pass(1)
  expect(world.socket.readyState).toBeGreaterThan(1)
  await until(() => world.dials === 3, 5000)
  await pass(3000)
  world.socket.open()
  await pass(1999)
  expect(world.socket.readyState).toBe(1)
  await pass(1)
  expect(world.socket.readyState).toBeGreaterThan(1)
  expect(a.heard()).toBe('drop')
})

test('what an old socket still says is ignored', async () => {
  world.net.answers = false
  const a = await world.connect()
  await pass(25_000)
  const [old] = world.net.sockets
  old!.data({ event: 'before the claim' })
  await until(() => world.dials === 2, 500)
  old!.data({ event: 'after it' })
  old!.bye('kicked', false, 1000)
  expect(world.socket.offers[1]).toBe('wspulse.v1.resume.YWxpY2U.0.t1')
  world.socket.hello({ token: 't2', resumed: true })
  old!.data({ event: 'after hello' })
  expect(a.heard()).toBe('drop restore')
})

for (const end of ['close', 'exportSession'] as const)
  test(`a client that ends in onDrop never comes back: ${end}`, async () => {
    const a = await world.connect({ onDrop: (_, client) => void client[end]() })
    world.socket.end()
    await pass(60_000)
    expect(a.heard()).toBe('disconnect')
    expect(world.dials).toBe(1)
  })

test('reconnect false ends the client, with the reason', async () => {
  const a = await world.connect()
  world.socket.bye('kicked', false, 1000)
  const error = await a.client.closed
  expect(error).toEqual(new RefusedError('kicked', 1000, false))
  expect([a.heard(), a.errors]).toEqual(['disconnect', [error]])
})

test('retries bounds the attempts, and 0 is none', async () => {
  const a = await world.connect({ retries: 0 })
  world.socket.end()
  expect([a.heard(), `${a.errors[0]}`]).toEqual(['disconnect', 'Error: wspulse: the connection is lost'])
  const b = await world.connect({ retries: 2 })
  world.socket.end()
  for (let i = 0; i < 2; i++) {
    await until(() => world.socket.readyState === 0, 1000)
    world.socket.end()
  }
  expect(b.heard()).toBe('drop disconnect')
  expect(world.dials).toBe(4)
})

test('the first dial is not tried again', async () => {
  const a = world.dial()
  await pass()
  world.socket.end()
  await expect(a.connecting).rejects.toThrow(
    "the server at wss://server/ws can't be reached, refuses (see its log), or does not speak wspulse.v1",
  )
  const b = world.dial()
  await pass()
  world.socket.open()
  world.socket.bye('no such board', false, 4404)
  await expect(b.connecting).rejects.toEqual(new RefusedError('no such board', 4404, false))
  await pass(60_000)
  expect([a.heard(), b.heard(), world.dials]).toEqual(['', '', 2])
})

test('with retryFirst it is, until the server says otherwise', async () => {
  const a = world.dial({ retryFirst: true })
  for (let i = 1; i <= 3; i++) {
    await until(() => world.dials === i, 2000)
    world.socket.end()
  }
  await until(() => world.dials === 4, 4000)
  world.socket.hello()
  await a.connecting
  await pass()
  expect(a.heard()).toBe('')
  await a.client.close()
  const b = world.dial({ retryFirst: true })
  await pass()
  world.socket.open()
  world.socket.bye('origin', false, 4403)
  await expect(b.connecting).rejects.toEqual(new RefusedError('origin', 4403, false))
})

test('a server that selects nothing fails at once, with the way out', async () => {
  const a = world.dial({ retryFirst: true })
  await pass()
  world.socket.open('')
  await expect(a.connecting).rejects.toThrow(
    'wspulse: the server at wss://server/ws does not speak wspulse.v1 (use protocol: false)',
  )
})

test('a url that is none is told', async () => {
  const WebSocket = world.net.WebSocket
  await expect(connect('no url', { WebSocket })).rejects.toThrow('Invalid URL')
})
