import { expect, test } from 'vitest'
import type { Options, Presence } from '../src/index.js'
import { newWorld, pass, type User } from './world.js'

const world = newWorld()

/** Who is there, in words: "alice=a,bob?" for a user a, and for one that is away. */
const who = (members: Presence['members'] = []) =>
  members.map((m) => m.id + (m.user ? `=${m.user}` : '') + (m.away ? '?' : '') + (m.info ?? '')).join(',')

/** A Presence in words, such as "r+bob-carol:alice,bob", for a room r with those two. */
function told(p: Presence): string {
  if (p.counted) return `${p.room}#${p.count}`
  const lists = [p.joined, p.left, p.updated, p.away, p.back]
  const changes = lists.flatMap((list, i) => list.map(({ id }) => '+-~<>'[i] + id))
  return `${p.room}${p.first ? '!' : ''}${changes.join('')}${p.count === p.members.length ? '' : `(${p.count})`}:${who(p.members)}`
}

/** Connects a client that writes down who is where. */
async function watch(options: Options = {}): Promise<User> {
  const user = await world.connect({
    onPresence(p, client) {
      user.note(told(p))
      if (!p.counted) expect(who(client.presence(p.room))).toBe(who(p.members))
    },
    ...options,
  })
  return user
}

/** The server says who is there. */
const say = (...payloads: unknown[]) => {
  for (const payload of payloads) world.socket.data({ event: 'presence', payload })
}

const list = (room: string, ...ids: string[]) => ({
  room,
  full: true,
  join: ids.map((id) => ({ id })),
  count: ids.length,
})

test('what is no payload of presence is reported and dropped, and the next one counts', async () => {
  const bad = [
    ...[null, undefined, 7, '', [], {}, { room: 'r' }, { count: 1 }, { room: 7, count: 1 }, { room: null, count: 1 }],
    ...[-1, 1.5, null, 1e20].map((count) => ({ room: 'r', count })),
    ...[{ id: 'x' }, [{}], [null], ['x'], [{ id: 7 }]].map((join) => ({ room: 'r', full: true, join, count: 1 })),
    ...[{ leave: [7] }, { away: 7 }, { back: {} }].map((lists) => ({ room: 'r', ...lists, count: 1 })),
  ]
  const a = await watch()
  say(...bad)
  expect(world.reported().length).toBe(bad.length)
  say(list('r', 'x'))
  say(...bad)
  expect(world.reported().length).toBe(bad.length)
  expect(a.heard()).toBe('r!:x')
  expect(who(a.client.presence('r'))).toBe('x')
})

test('who is there, who comes and goes, and who is away', async () => {
  const a = await watch()
  say({ room: 'r', full: true, join: [{ id: 'alice', user: 'a' }], count: 1 })
  say({ room: 'r', join: [{ id: 'carol' }, { id: 'bob', user: 'b' }], count: 3 })
  say({ room: 'r', away: ['bob'], count: 3 })
  say({ room: 'r', back: ['bob'], count: 3 })
  say({ room: 'r', join: [{ id: 'bob', user: 'bobby' }], count: 3 })
  say({ room: 'r', join: [{ id: 'bob', user: 'bobby' }], count: 3 }) // and again: nobody notices
  for (let i = 0; i < 2; i++) say({ room: 'r', join: [{ id: 'bob', user: 'bobby', info: ['judge'] }], count: 3 })
  world.socket.data({ event: 's' })
  say({ room: 'r', leave: ['carol', 'bob'], count: 1 })
  expect(a.heard().split(' ')).toEqual([
    'r!:alice=a',
    'r+bob+carol:alice=a,bob=b,carol',
    'r<bob:alice=a,bob=b?,carol',
    'r>bob:alice=a,bob=b,carol',
    'r~bob:alice=a,bob=bobby,carol',
    'r~bob:alice=a,bob=bobbyjudge,carol',
    's',
    'r-bob-carol:alice=a',
  ])
  expect(a.client.presence('s')).toBeUndefined()
  await a.client.close()
  expect(a.client.presence('r')).toBeUndefined()
})

const xy = list('r', 'x', 'y')

for (const [name, payloads, want] of [
  ['another count', [{ ...list('r', 'x'), count: 9 }], 'r!:x'],
  ['nobody', [list('r')], ''],
  ['a room without a name', [list('', 'x')], '!:x'],
  ['one twice', [{ ...xy, join: [{ id: 'x' }, { id: 'x', away: true }] }], 'r!:x?'],
  ['fields of tomorrow', [{ ...list('r', 'x'), moved: [1] }], 'r!:x'],
  ['news before a list', [{ room: 'r', join: [{ id: 'x' }], count: 1 }, xy], 'r!:x,y'],
  ['news of strangers', [xy, { room: 'r', leave: ['z'], away: ['z'], back: ['z'], count: 2 }], 'r!:x,y'],
  ['the same list', [xy, xy], 'r!:x,y'],
  ['another list', [xy, list('r', 'y', 'z')], 'r!:x,y r+z-x:y,z'],
  ['all at once', [xy, { room: 'r', join: [{ id: 'z' }], leave: ['x'], away: ['y'], count: 2 }], 'r!:x,y r+z-x<y:y?,z'],
  ['joins, and is away', [xy, { room: 'r', join: [{ id: 'z', away: true }], count: 3 }], 'r!:x,y r+z:x,y,z?'],
  ['joins, and leaves', [xy, { room: 'r', join: [{ id: 'z' }], leave: ['z'], count: 2 }], 'r!:x,y'],
  [
    'a count',
    [
      { room: 'r', count: 7 },
      { room: 'r', count: 7 },
      { room: 'r', count: 8 },
    ],
    'r#7 r#8',
  ],
  ['a count of as many', [xy, { room: 'r', count: 2 }], 'r!:x,y r#2'],
  ['a count of nobody', [{ room: 'r', count: 0 }], 'r#0'],
  [
    'a list again after a count',
    [xy, { room: 'r', count: 7 }, { room: 'r', leave: ['x'], count: 6 }, xy],
    'r!:x,y r#7 r!:x,y',
  ],
  ['one room among others', [xy, { room: 's', count: 1 }, { room: 'r', leave: ['x'], count: 1 }], 'r!:x,y s#1 r-x:y'],
  ['the server has it leave', [xy, list('r'), list('r')], 'r!:x,y r-x-y:'],
  ['the server has it leave a room that is counted', [{ room: 'r', count: 7 }, list('r')], 'r#7 r#0'],
] as [string, unknown[], string][])
  test(`what a server says of a room: ${name}`, async () => {
    const a = await watch()
    say(...payloads)
    expect(a.heard()).toBe(want)
  })

test('who is counted is not listed, and who has been made to leave knows nothing', async () => {
  const a = await watch()
  say(xy, { room: 'r', count: 7 })
  expect(a.client.presence('r')).toBeUndefined()
  say(xy, list('r'))
  expect(a.client.presence('r')).toBeUndefined()
  say({ room: 'r', join: [{ id: 'z' }], count: 1 }) // of a list that has not come
  expect(a.heard()).toBe('r!:x,y r#7 r!:x,y r-x-y:')
})

test('lists stay as they are between two connections, and are forgotten with the session', async () => {
  const a = await watch({ onSessionLost: (_, client) => a.note(`lost:${client.presence('r')}`) })
  say(xy)
  await world.redial()
  expect(who(a.client.presence('r'))).toBe('x,y')
  world.socket.hello({ token: 't2', resumed: true, at: 1 })
  say({ room: 'r', leave: ['x'], count: 1 })
  await world.redial()
  world.socket.hello({ token: 't3', reason: 'expired' })
  say(list('r', 'y'))
  expect(a.heard()).toBe('r!:x,y drop restore r-x:y drop lost:undefined restore r!:y')
})

test('without wspulse.v1 lists are forgotten with the connection', async () => {
  const a = await watch({ protocol: false, onRestore: (client) => a.note(`restore:${client.presence('r')}`) })
  say(xy)
  await world.redial()
  world.socket.open('')
  say(list('r', 'y'))
  expect(a.heard()).toBe('r!:x,y drop restore:undefined r!:y')
})

/** The request that the client has sent last is answered. */
function answer(event = 'ack') {
  const { id } = JSON.parse(`${world.socket.sent.findLast((data) => typeof data === 'string')}`)
  world.socket.data({ id, event })
}

test('a room that is left is forgotten, and what still comes of it is from before', async () => {
  let free = () => {}
  const a = await watch({ onMessage: () => new Promise<void>((resolve) => (free = resolve)) })
  say(xy, list('s', 'x'))
  world.socket.data({ event: 'blocks' })
  say({ room: 'r', leave: ['x'], count: 1 }, list('s', 'z'))
  const leaving = a.client.leave('s')
  answer()
  await leaving
  expect([a.client.presence('s'), who(a.client.presence('r'))]).toEqual([undefined, 'x,y'])
  const joining = a.client.join('s')
  answer()
  await joining
  say(list('s', 'x', 'z'))
  expect(a.client.presence('s')).toBeUndefined()
  free()
  await pass()
  expect(a.heard()).toBe('r!:x,y s!:x r-x:y s!:x,z')
})

test('a room that is left twice is forgotten twice', async () => {
  let free = () => {}
  const a = await watch({ onMessage: () => new Promise<void>((resolve) => (free = resolve)) })
  world.socket.data({ event: 'blocks' })
  for (let i = 0; i < 2; i++) {
    const leaving = a.client.leave('r')
    answer()
    await leaving
    if (!i) say(xy)
  }
  free()
  await pass()
  expect(a.heard()).toBe('')
  say(xy)
  expect(a.heard()).toBe('r!:x,y')
})

test('a leave that fails forgets nothing, and one that nobody waits for any more counts when its answer comes', async () => {
  const a = await watch()
  say(xy)
  const failing = a.client.leave('r')
  answer('error')
  answer() // it comes too late
  await expect(failing).rejects.toThrow()
  const late = expect(a.client.leave('r', { timeout: 1000 })).rejects.toMatchObject({ name: 'TimeoutError' })
  await pass(1000)
  await late
  expect(who(a.client.presence('r'))).toBe('x,y')
  answer()
  expect(a.client.presence('r')).toBeUndefined()
})

test('without onPresence such frames are messages like others', async () => {
  const a = await world.connect()
  say(xy)
  expect([a.heard(), a.client.presence('r')]).toEqual(['presence', undefined])
})

test('onPresence has its turn among messages', async () => {
  const a = await watch()
  world.socket.data({ event: 'a' })
  say(xy)
  world.socket.data({ event: 'b' })
  expect(a.heard()).toBe('a r!:x,y b')
})
