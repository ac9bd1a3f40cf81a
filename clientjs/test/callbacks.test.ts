import { expect, test } from 'vitest'
import { newWorld, pass } from './world.js'

const world = newWorld()

/** The server sends so many frames, s1 and so on. */
const send = (n: number, first = 1) => {
  for (let i = first; i < first + n; i++) world.socket.data({ event: `s${i}` })
}

test('callbacks run one at a time, in order, and the next waits for a promise', async () => {
  const a = await world.connect({
    async onMessage({ event }) {
      a.note(`${event}{`)
      for (let i = 0; i < 9; i++) await Promise.resolve()
      a.note('}')
    },
  })
  send(2)
  world.socket.control({ t: 'gap', n: 1, at: 2 })
  world.socket.end()
  await pass()
  expect(a.heard()).toBe('s1{ } s2{ } gap:1 drop')
})

test('a callback that throws or rejects is reported, and the next one runs', async () => {
  const a = await world.connect({
    onMessage({ event }) {
      a.note(event)
      if (event === 's1') throw new Error('thrown')
      return event === 's2' ? Promise.reject(new Error('rejected')) : undefined
    },
  })
  send(3)
  await pass()
  expect(a.heard()).toBe('s1 s2 s3')
  expect(world.reported()).toEqual(['thrown', 'rejected'])
})

test('no callback runs before the caller of connect has the client', async () => {
  const a = world.dial()
  await pass()
  world.socket.hello()
  send(1)
  expect(a.heard()).toBe('')
  const client = await a.connecting
  expect([client.connected, a.heard()]).toEqual([true, ''])
  await pass()
  expect(a.heard()).toBe('s1')
})

test('onDisconnect is the last callback, and closed settles behind it', async () => {
  let free = () => {}
  const a = await world.connect({
    onDisconnect: (error) => {
      a.note(`disconnect ${error}`)
      return new Promise<void>((resolve) => (free = resolve))
    },
  })
  let closed = false
  a.client.closed.then(() => (closed = true))
  a.client.close()
  send(1)
  await pass(9000)
  expect([a.heard(), closed]).toEqual(['s1 disconnect undefined', false])
  free()
  await expect(a.client.closed).resolves.toBeUndefined()
})

test('for await gets the frames in order, and ends with the client', async () => {
  const a = await world.connect({ onMessage: undefined })
  const loop = (async () => {
    for await (const { event } of a.client) a.note(event)
    a.note('over')
  })()
  send(2)
  await pass()
  send(1, 3)
  await pass()
  expect(a.heard()).toBe('s1 s2 s3')
  a.client.close()
  send(1, 4) // the server had sent it before it read the close frame
  await loop
  expect(a.heard().split(' ').sort()).toEqual(['disconnect', 'over', 's4'])
})

test('a loop that waits ends with the client', async () => {
  const a = await world.connect({ onMessage: undefined })
  const waits = a.client[Symbol.asyncIterator]().next()
  await a.client.close()
  expect(await waits).toEqual({ done: true, value: undefined })
})

test('a loop may be left, and another one goes on', async () => {
  const a = await world.connect({ onMessage: undefined })
  send(3)
  for await (const { event } of a.client) {
    a.note(event)
    if (event === 's2') break
  }
  a.client.close()
  for await (const { event } of a.client) a.note(event)
  expect(a.heard()).toBe('s1 s2 disconnect s3')
})

test('where nobody loops, a thousand frames wait, and then it is reported', async () => {
  await world.connect({ onMessage: undefined })
  send(1023)
  expect(world.reported()).toEqual([])
  send(1)
  expect(world.reported()).toEqual(['wspulse: no onMessage, no for await: messages are dropped'])
  expect(world.socket.said()).toMatch(/ack:1024@0$/)
})

test('where somebody has looped, the frames wait, and nothing is acknowledged', async () => {
  const a = await world.connect({ onMessage: undefined })
  send(1)
  for await (const _ of a.client) break
  send(1500, 2)
  await pass(5000)
  expect(world.socket.said()).toMatch(/ack:1025@0$/)
  let n = 1
  for await (const { event } of a.client) {
    expect(event).toBe(`s${++n}`)
    if (n === 1501) break
  }
  expect(world.socket.said()).toBe('ack:1501@0')
})

test('a session that is lost is told before onRestore, with the frames as they were sent', async () => {
  const lost: unknown[] = []
  const a = await world.connect({
    onSessionLost(l) {
      lost.push(l)
      a.note('lost')
    },
  })
  const frames = [1, 2, 3].map((n) => ({ event: 'c', payload: { n } }))
  for (const frame of frames) a.client.send(frame)
  world.socket.control({ t: 'ack', n: 1, at: 0 })
  await world.redial()
  a.client.send({ event: 'waits' })
  world.socket.hello({ token: 't2', recv: 2, reason: 'expired' })
  expect(a.heard()).toBe('drop lost restore')
  expect(lost).toEqual([{ reason: 'expired', unprocessed: [frames[2]] }])
  expect(world.socket.said()).toBe('ack:0@0 waits')
  expect(a.client.pending).toBe(1)
})

test('a client that gives up with something pending says so, with what was never sent too', async () => {
  const a = await world.connect({ retries: 1 })
  a.client.send({ event: 'c1' })
  await world.redial()
  a.client.send({ event: 'c2' })
  world.socket.end()
  expect(a.heard()).toBe('drop lost:network(c1,c2) disconnect')
  expect(await a.client.closed).toBe(a.errors.at(-1))
})
