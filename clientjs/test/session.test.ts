import { expect, test } from 'vitest'
import type { Session } from '../src/index.js'
import { Network } from './fake.js'
import { newWorld, pass, type User, until } from './world.js'

const world = newWorld()

/** As it is after a reload: from storage. */
const stored = (user: User): Session => JSON.parse(JSON.stringify(user.client.exportSession()))

test('the session is free as soon as the client has ended, whatever its callbacks wait for', async () => {
  world.becomePage()
  let finish = () => {}
  const a = await world.connect({ onMessage: () => new Promise<void>((resolve) => (finish = resolve)) })
  const b = world.dial({ session: stored(a), onMessage: () => new Promise<void>((resolve) => (finish = resolve)) })
  await pass()
  world.socket.hello({ resumed: true, token: 't2' })
  await pass()
  world.socket.data({ event: 'x' })
  await pass()
  world.dial({ session: stored(b) })
  await pass()
  expect(world.dials).toBe(3)
  expect(world.socket.offers[1]).toContain('.resume.')
  finish()
})

test('the session is free when connect has failed', async () => {
  world.becomePage()
  const session = stored(await world.connect())
  for (let i = 0; i < 2; i++) {
    const b = world.dial({ session })
    await pass()
    expect(world.socket.offers[1]).toContain('.resume.')
    world.socket.end()
    await expect(b.connecting).rejects.toThrow("can't be reached")
  }
})

test('a loss that nobody has been told of goes with the session', async () => {
  let free = () => {}
  const a = await world.connect({ onMessage: () => new Promise<void>((resolve) => (free = resolve)) })
  a.client.send({ event: 'c1' })
  world.socket.data({ event: 's1' })
  await world.redial()
  world.socket.hello({ token: 't2', reason: 'expired' })
  const b = world.dial({ session: stored(a) })
  await pass()
  world.socket.hello({ token: 't3', resumed: true })
  await pass()
  expect(b.heard()).toBe('lost:expired(c1)')
  free()
})

test('what a callback is told while it exports the session counts as handled', async () => {
  const sessions: Session[] = []
  const a = await world.connect({ onMessage: () => void sessions.push(stored(a)) })
  world.socket.data({ event: 's1' })
  const b = world.dial({ session: sessions[0]!, onGap: () => void sessions.push(stored(b)) })
  await pass()
  expect(world.socket.offers[1]).toBe('wspulse.v1.resume.YWxpY2U.1.t1')
  world.socket.hello({ token: 't2', resumed: true, at: 1 })
  await pass()
  world.socket.control({ t: 'gap', n: 2, at: 1 })
  expect(sessions[1]).toMatchObject({ received: 3, inbox: [] })
})

for (const end of ['close', 'exportSession'] as const)
  test(`a client that ends in onSessionLost has ended: ${end}`, async () => {
    const a = await world.connect({
      onSessionLost(lost, client) {
        a.note(lost.reason)
        client[end]()
      },
    })
    await world.redial()
    world.socket.hello({ token: 't2', reason: 'expired' })
    await pass(60_000)
    expect(a.heard()).toBe(end === 'close' ? 'drop expired restore disconnect' : 'drop expired disconnect')
    expect(a.client.connected).toBe(false)
    expect(world.socket.said()).toBe(end === 'close' ? 'ack:0@0 bye@0' : 'ack:0@0')
  })

test('a signal that comes while the lock is awaited leaves the lock to others', async () => {
  world.becomePage()
  const session = stored(await world.connect())
  const first = world.dial({ session })
  await pass()
  const stop = new AbortController()
  const second = world.dial({ session, signal: stop.signal })
  await pass(500)
  stop.abort(new Error('enough'))
  world.socket.end()
  await expect(first.connecting).rejects.toThrow()
  await expect(second.connecting).rejects.toThrow('enough')
  expect(world.dials).toBe(2)
  world.dial({ session })
  await pass()
  expect(world.dials).toBe(3)
  expect(world.socket.offers[1]).toContain('.resume.')
})

test('what waits for a loop goes with the session, however much it is', async () => {
  const a = await world.connect({ onMessage: undefined })
  world.socket.data({ event: 's0' })
  for await (const _ of a.client) break
  for (let i = 1; i <= 1500; i++) world.socket.data({ event: `s${i}` })
  const b = world.dial({ session: stored(a), onMessage: undefined })
  await pass()
  world.socket.hello({ token: 't2', resumed: true, at: 1501 })
  const client = await b.connecting
  let n = 0
  for await (const { event } of client) {
    expect(event).toBe(`s${++n}`)
    if (n === 1500) break
  }
})

test('a session goes through storage with all that it has: what was sent, what waits, what has come', async () => {
  let free = () => {}
  const a = await world.connect({ onMessage: () => new Promise<void>((resolve) => (free = resolve)) }, { inflight: 3 })
  for (let i = 1; i <= 5; i++) a.client.send({ event: `c${i}` })
  world.socket.control({ t: 'ack', n: 1, at: 0 })
  world.socket.data({ event: 's1' }) // its callback runs
  world.socket.data({ event: 's2' })
  world.socket.control({ t: 'gap', n: 2, at: 2 })
  world.socket.data({ event: 's5' })
  const session = stored(a)
  expect(world.socket.said(), 'no bye').toBe('c1 c2 c3 c4')
  expect(a.client.exportSession(), 'once').toBeUndefined()
  expect(() => a.client.send({ event: 'c6' })).toThrow('connection closed')
  free()
  await pass()
  expect(a.heard()).toBe('disconnect')

  const b = world.dial({ session })
  await pass()
  expect(world.socket.offers).toEqual(['wspulse.v1', 'wspulse.v1.resume.YWxpY2U.5.t1'])
  world.socket.hello({ token: 't2', resumed: true, recv: 2, at: 5 })
  await pass()
  expect(b.heard()).toBe('s2 gap:2 s5')
  expect([b.client.id, b.client.pending]).toEqual(['alice', 4])
  world.socket.control({ t: 'ack', n: 5, at: 5 })
  expect([world.socket.said(), b.client.pending]).toEqual(['ack:5@2 c3 c4 c5', 0])
})

test('a session that was handed in, and is lost, is told of', async () => {
  const a = await world.connect({}, { inflight: 2 })
  for (let i = 1; i <= 3; i++) a.client.send({ event: `c${i}` })
  const b = world.dial({ session: stored(a) })
  await pass()
  world.socket.hello({ token: 't2', reason: 'expired', recv: 1 })
  await pass()
  expect(b.heard()).toBe('lost:expired(c2)')
  expect(world.socket.said()).toBe('ack:0@0 c3')
})

test('a session can be exported while there is no connection, and not where there is none', async () => {
  const a = await world.connect()
  world.socket.end()
  expect(a.client.exportSession()).toMatchObject({ token: 't1', received: 0 })
  const b = await world.connect({}, { window: 0, token: undefined })
  expect(b.client.exportSession()).toBeUndefined()
})

test('a second tab with the same session gets a new one, and is told', async () => {
  world.becomePage()
  const session = stored(await world.connect())
  const first = world.dial({ session })
  await pass()
  world.socket.hello({ token: 't2', resumed: true })
  const client = await first.connecting
  world.net = new Network() // of the other tab
  const second = world.dial({ session })
  await pass(1000)
  expect(world.socket.offers).toEqual(['wspulse.v1'])
  world.socket.hello({ id: 'alice-2', token: 't3' })
  await pass()
  expect(second.heard()).toBe('lost:conflict()')
  expect([client.id, client.connected, second.client.id]).toEqual(['alice', true, 'alice-2'])
})

test('sessions of one name at two servers have nothing to do with each other', async () => {
  world.becomePage()
  const one = stored(await world.connect())
  const two = stored(await world.connect({}, { token: 'u1' }))
  for (const [session, net] of [
    [one, world.net],
    [two, new Network()],
  ] as const) {
    const a = world.dial({ session, WebSocket: net.WebSocket })
    await pass()
    expect(net.last.offers[1]).toContain(session.token)
    net.last.hello({ token: `${session.token}2`, resumed: true })
    await a.connecting
  }
})

test('nothing comes behind onDisconnect, whatever ends the client', async () => {
  const a = await world.connect({
    async onSessionLost(_, client) {
      client.exportSession() // and what comes behind it waits for the promise
    },
  })
  await world.redial()
  world.socket.hello({ token: 't2', reason: 'expired' })
  await pass()
  expect(a.heard()).toBe('drop disconnect')
})

test('where a tab that has the session ends within a second, the next one has it', async () => {
  world.becomePage()
  const session = stored(await world.connect())
  const first = world.dial({ session })
  await pass()
  world.socket.hello({ token: 't2', resumed: true })
  await first.connecting
  world.dial({ session })
  await pass(900)
  expect(world.dials).toBe(2)
  stored(first)
  await pass()
  expect(world.socket.offers[1]).toContain('.resume.')
})

for (const [name, fields] of [
  ['another id', { id: 'bob', resumed: true, recv: 1 }],
  ['more than was sent', { resumed: true, recv: 2 }],
  ['less than was acknowledged', { resumed: true, recv: 0 }],
  ['another count', { resumed: true, recv: 1, at: 1 }],
  ['a new session with a count', { at: 1 }],
] as const)
  test(`a hello that can not be ends the session, and the next one is claimed again: ${name}`, async () => {
    const a = await world.connect()
    a.client.send({ event: 'c' })
    world.socket.control({ t: 'ack', n: 1, at: 0 })
    await world.redial()
    world.socket.hello({ token: 't2', ...fields })
    expect(world.socket.closed).toEqual([4400, 'count'])
    await until(() => world.dials === 3, 2000)
    expect(world.socket.offers).toEqual(['wspulse.v1'])
    world.socket.hello({ token: 't3' })
    expect(a.heard()).toBe('drop lost:count() restore')
    await world.redial()
    expect(world.socket.offers[1]).toBe('wspulse.v1.resume.YWxpY2U.0.t3')
  })
