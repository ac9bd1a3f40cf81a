import { expect, test } from 'vitest'
import { ConnectionClosedError, type Frame, ReplyError, SendBufferFullError, SessionLostError } from '../src/index.js'
import { newWorld, pass, type User } from './world.js'

const world = newWorld()

/** What the client has sent last. */
const sent = (): Frame => JSON.parse(`${world.socket.sent.findLast((data) => typeof data === 'string')}`)

/** Makes a request, and writes down how it ends. */
function ask(user: User, id: string) {
  user.client.request({ id, event: 'ask' }).then(
    ({ payload }) => user.note(`${id}:${payload}`),
    (error) => user.note(`${id}:${error.name}${error.reason ? `(${error.reason},${error.unprocessed})` : ''}`),
  )
}

const reply = (id: string, payload?: unknown) => world.socket.data({ id, event: 'ack', payload })

test('a request resolves to its reply', async () => {
  const a = await world.connect()
  const first = a.client.request({ event: 'ask', payload: { n: 1 } })
  const { id } = sent()
  const second = a.client.request({ event: 'ask' })
  expect(sent().id).not.toBe(id)
  reply(sent().id!, 2)
  reply(id!, 1)
  expect([await first, await second].map((f) => f.payload)).toEqual([1, 2])
  expect(a.heard(), 'a reply is no message').toBe('')
})

for (const [name, payload, code, message] of [
  ['code and message', { code: 'no', message: 'never' }, 'no', 'never'],
  ['a string', 'never', '', '"never"'],
  ['nothing', undefined, '', ''],
  ['null', null, '', 'null'],
] as const)
  test(`a reply may say that the request has failed: ${name}`, async () => {
    const a = await world.connect()
    const failing = a.client.request({ id: '1', event: 'ask' })
    world.socket.data({ id: '1', event: 'error', payload })
    const error = await failing.catch((e) => e)
    expect(error).toBeInstanceOf(ReplyError)
    expect([error.code, error.message]).toEqual([code, message])
  })

test('a request waits for so long, or until its signal; what comes later is ignored', async () => {
  const a = await world.connect()
  const late = expect(a.client.request({ id: '1', event: 'ask' }, { timeout: 1000 })).rejects.toMatchObject({
    name: 'TimeoutError',
  })
  await pass(1000)
  await late
  const stop = new AbortController()
  const stopped = a.client.request({ id: '2', event: 'ask' }, { signal: stop.signal, timeout: 1000 })
  stop.abort(new Error('enough'))
  await expect(stopped).rejects.toThrow('enough')
  const before = a.client.request({ id: '3', event: 'ask' }, { signal: stop.signal })
  await expect(before).rejects.toThrow('enough')
  expect(world.socket.said()).toBe('ask ask')
  reply('1')
  reply('2')
  ask(a, '2') // the ID is free
  reply('2', 7)
  reply('2', 8)
  await pass(2000)
  expect(a.heard()).toBe('2:7')
})

test('a request whose ID is under way is refused, and so is what send refuses', async () => {
  const a = await world.connect({ sendBuffer: 1 }, { inflight: 1 })
  ask(a, '1')
  ask(a, '1')
  ask(a, '2')
  await expect(a.client.request({ event: 'ask' })).rejects.toThrow(SendBufferFullError)
  await expect(a.client.request({ event: 'ask', payload: 'x'.repeat(600) })).rejects.toThrow('the server takes 512')
  await pass()
  expect(a.heard()).toBe('1:Error')
  world.socket.control({ t: 'ack', n: 1, at: 0 })
  reply('1', 'one')
  reply('2', 'two')
  await pass()
  expect(a.heard()).toBe('1:one 2:two')
})

test('an ID is free as soon as its reply has come', async () => {
  const a = await world.connect()
  ask(a, '1')
  reply('1', 'one')
  ask(a, '1')
  await pass()
  reply('1', 'two')
  await pass()
  expect(a.heard()).toBe('1:one 1:two')
})

test('replies are messages until the first request, and where they have no ID', async () => {
  const a = await world.connect()
  reply('1')
  world.socket.data({ id: '1', event: 'error' })
  expect(a.heard()).toBe('ack error')
  ask(a, '2')
  reply('1')
  world.socket.data({ event: 'ack' })
  world.socket.data({ id: '2', event: 'other' })
  expect(a.heard()).toBe('ack other')
})

test('replies do not wait for callbacks', async () => {
  const a = await world.connect({
    async onMessage({ event }, client) {
      a.note(`${event}:${(await client.request({ id: event, event: 'ask' })).payload}`)
    },
  })
  world.socket.data({ event: 's1' })
  world.socket.data({ event: 's2' })
  reply('s1', 1)
  await pass()
  reply('s2', 2)
  await pass()
  expect(a.heard()).toBe('s1:1 s2:2')
})

test('a request outlives its connection, and one that waits is sent by the next', async () => {
  const a = await world.connect()
  ask(a, '1')
  world.socket.end()
  ask(a, '2')
  await pass(500)
  world.socket.hello({ token: 't2', resumed: true, recv: 1 })
  expect(world.socket.said()).toBe('ack:0@1 ask')
  reply('1', 'one')
  reply('2', 'two')
  await pass()
  expect(a.heard()).toBe('drop restore 1:one 2:two')
})

test('a request is lost with its session, processed or not; one that was not sent goes by the next', async () => {
  const a = await world.connect()
  ask(a, '1')
  ask(a, '2')
  ask(a, '3')
  world.socket.control({ t: 'ack', n: 1, at: 0 })
  await world.redial()
  ask(a, '4')
  world.socket.hello({ token: 't2', reason: 'expired', recv: 2 })
  reply('4', 'four')
  await pass()
  expect(a.heard()).toBe(
    'drop lost:expired(ask) restore ' +
      '1:SessionLostError(expired,false) 2:SessionLostError(expired,false) 3:SessionLostError(expired,true) 4:four',
  )
  expect(new SessionLostError('expired', true).message).toBe('wspulse: session lost (expired), request not processed')
})

test('requests end with the client', async () => {
  const a = await world.connect()
  ask(a, '1')
  a.client.close()
  ask(a, '2')
  await pass()
  expect(a.heard().split(' ').sort()).toEqual(['1:ConnectionClosedError', '2:ConnectionClosedError', 'disconnect'])
  expect(new ConnectionClosedError().message).toBe('wspulse: connection closed')
})

test('the events of replies may be others', async () => {
  const a = await world.connect({ replyEvents: ['ok', 'nok'], handlers: { ask: () => 7 } })
  const failing = a.client.request({ id: '1', event: 'x' })
  reply('1')
  world.socket.data({ id: '1', event: 'nok' })
  await expect(failing).rejects.toThrow(ReplyError)
  world.socket.data({ id: '2', event: 'ask' })
  await pass()
  expect([a.heard(), sent()]).toEqual(['ack', { id: '2', event: 'ok', payload: 7 }])
})

test('join and leave are requests', async () => {
  const a = await world.connect()
  const joining = a.client.join('chess')
  expect(sent()).toMatchObject({ event: 'join', payload: { room: 'chess' } })
  reply(sent().id!, {})
  await expect(joining).resolves.toBeUndefined()
  const leaving = a.client.leave('chess', { timeout: 500 })
  expect(sent()).toMatchObject({ event: 'leave', payload: { room: 'chess' } })
  world.socket.data({ id: sent().id!, event: 'error', payload: { code: 'home', message: 'no' } })
  await expect(leaving).rejects.toMatchObject({ code: 'home' })
})

for (const [name, handler, want, reported] of [
  ['a value', () => 1, { event: 'ack', payload: 1 }, []],
  ['nothing', () => {}, { event: 'ack' }, []],
  ['a promise', async ({ payload }: Frame) => payload + 1, { event: 'ack', payload: 8 }, []],
  [
    'a ReplyError',
    () => {
      throw new ReplyError('no', 'never')
    },
    { event: 'error', payload: { code: 'no', message: 'never' } },
    [],
  ],
  [
    'another error',
    () => Promise.reject(new Error('a secret')),
    { event: 'error', payload: { code: 'internal', message: 'internal error' } },
    ['a secret'],
  ],
  [
    'what can not be encoded',
    () => 1n,
    { event: 'error', payload: { code: 'internal', message: 'internal error' } },
    ['Do not know how to serialize a BigInt'],
  ],
] as [string, (frame: Frame) => unknown, Frame, string[]][])
  test(`the server's request gets the reply of its handler: ${name}`, async () => {
    const a = await world.connect({ handlers: { ask: handler } })
    world.socket.data({ id: '1', event: 'ask', payload: 7 })
    world.socket.data({ id: '1', event: 'toString' })
    await pass()
    expect(sent()).toEqual({ id: '1', ...want })
    expect(a.heard()).toBe('toString')
    expect(world.reported()).toEqual(reported)
  })

test('a handler has its turn among messages, and a request without an ID gets no reply', async () => {
  const a = await world.connect({
    handlers: {
      async ask({ id }) {
        a.note(`ask${id ?? ''}{`)
        await Promise.resolve()
        a.note('}')
      },
    },
  })
  for (const frame of [{ event: 's1' }, { event: 'ask' }, { id: '2', event: 'ask' }, { event: 's2' }])
    world.socket.data(frame)
  await pass()
  expect(a.heard()).toBe('s1 ask{ } ask2{ } s2')
  expect(world.socket.said()).toBe('ack')
})

test('a reply that can not be sent is reported', async () => {
  const a = await world.connect({ handlers: { ask: (_, client) => void client.close() } })
  world.socket.data({ id: '1', event: 'ask' })
  await pass()
  expect(world.reported()).toEqual(['wspulse: connection closed'])
  expect(a.heard()).toBe('disconnect')
})
