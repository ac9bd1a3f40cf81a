import { fits } from './control.js'

/** Somebody who is in a room: a session of the server. */
export interface Member {
  /** The connectionID, see `client.id`. */
  id: string
  /** Whose session it is, of several maybe. */
  user?: string
  /** What the server's program says of it. */
  info?: any
  /** Its connection is lost, and it may come back. */
  away?: boolean
}

/** Who is in a room, and what has changed since the callback for that room before. Lists are sorted by id. */
export interface Presence {
  room: string
  /** All that are there, oneself and those that are away included. */
  members: Member[]
  count: number
  /** The room is too large to be listed: count is all that is known. */
  counted: boolean
  /** The room was not listed before: nobody has joined, and members is who is there. */
  first: boolean
  joined: Member[]
  /** As they were. */
  left: Member[]
  /** Whose user or info is another. */
  updated: Member[]
  /** Whose connection was lost. */
  away: Member[]
  /** Who were away. */
  back: Member[]
}

/** The event of frames that say who is there. */
export const PRESENCE = 'presence'

type Members = Map<string, Member>

const sorted = (members: Members) => [...members.values()].sort((a, b) => (a.id < b.id ? -1 : 1))

/** Who is in the rooms that a client is in, as far as it has been told. */
export function newRooms() {
  const lists = new Map<string, Members | number>() // a number: they are counted
  const gone = new Map<string, number>() // rooms for which news is ignored, until forget has been called so often

  return {
    members(room: string): Member[] | undefined {
      const list = lists.get(room)
      return list instanceof Map && !gone.has(room) ? sorted(list) : undefined
    },

    /** A room is left: what still comes is from before, until forget is called. */
    leave(room: string) {
      gone.set(room, (gone.get(room) ?? 0) + 1)
    },

    forget(room: string) {
      const times = gone.get(room)! - 1
      lists.delete(room)
      if (times) gone.set(room, times)
      else gone.delete(room)
    },

    forgetAll() {
      lists.clear()
    },

    /** Takes the payload of a frame. It returns what is new; undefined: nothing. It throws for what is none. */
    take({ room, full, join = [], leave = [], away = [], back = [], count }: any): Presence | undefined {
      const ids = [room, ...join.map((m: Member) => m.id), ...leave, ...away, ...back]
      if (!ids.every((id) => fits(id, '')) || !fits(count, 0)) throw new Error('wspulse: malformed presence: dropped')
      const before = lists.get(room)
      const counted = !full && ![join, leave, away, back].some((list) => list.length)
      const over = full && !count
      const listed = before instanceof Map
      const was: Members = listed ? before : new Map()
      if (gone.has(room) || (over && before === undefined)) return
      if (counted ? before === count : !full && !listed) return // or the list will come
      const now: Members = new Map(full || counted ? [] : was)
      for (const m of join) now.set(m.id, m)
      for (const id of leave) now.delete(id)
      for (const id of [...away, ...back]) {
        const m = now.get(id)
        if (m) now.set(id, { ...m, away: away.includes(id) })
      }
      if (over) lists.delete(room)
      else lists.set(room, counted ? count : now)
      const members = sorted(now)
      const first = !over && !counted && !listed
      const compare = (differs: (m: Member, old: Member) => unknown) =>
        members.filter((m) => was.has(m.id) && differs(m, was.get(m.id)!))
      const changes = {
        joined: first || counted ? [] : members.filter((m) => !was.has(m.id)),
        left: counted ? [] : sorted(was).filter((m) => !now.has(m.id)),
        updated: compare((m, old) => m.user !== old.user || JSON.stringify(m.info) !== JSON.stringify(old.info)),
        away: compare((m, old) => m.away && !old.away),
        back: compare((m, old) => !m.away && old.away),
      }
      if (!first && !over && !counted && !Object.values(changes).some((list) => list.length)) return
      return { room, members, count: counted ? count : now.size, counted: over ? !listed : counted, first, ...changes }
    },
  }
}
