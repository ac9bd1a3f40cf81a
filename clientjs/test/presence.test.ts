import { expect, test } from 'vitest'
import type { Options, Presence } from '../src/index.js'
import { newWorld, type User } from './world.js'

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
