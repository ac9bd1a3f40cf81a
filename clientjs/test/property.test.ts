import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Hello, Violation } from '../src/control.js'
import { Ledger } from '../src/ledger.js'
import { type Act, Model } from './model.js'
import { newWorld } from './world.js'

const RUNS = 200 // of each

const world = newWorld()

const some = (max: number) => fc.integer({ min: 1, max })
const act: fc.Arbitrary<Act> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ t: fc.constant('send' as const), n: some(6) }) },
  { weight: 5, arbitrary: fc.record({ t: fc.constant('say' as const), n: fc.oneof(some(5), some(150)) }) },
  { weight: 2, arbitrary: fc.record({ t: fc.constant('gap' as const), n: some(9) }) },
  { weight: 8, arbitrary: fc.record({ t: fc.constant('down' as const), n: fc.oneof(some(4), some(200)) }) },
  { weight: 6, arbitrary: fc.record({ t: fc.constant('up' as const), n: some(8) }) },
  { weight: 4, arbitrary: fc.record({ t: fc.constant('process' as const), n: some(8) }) },
  { weight: 3, arbitrary: fc.record({ t: fc.constant('pass' as const), n: some(1500) }) },
  { weight: 10, arbitrary: fc.constantFrom<Act>({ t: 'answer' }, { t: 'ack' }, { t: 'drop' }) },
  {
    weight: 8,
    arbitrary: fc.constantFrom<Act>(
      ...(['large', 'fail', 'bye', 'silence', 'online', 'hold', 'release', 'export', 'leave'] as const).map((t) => ({
        t,
      })),
    ),
  },
  { weight: 1, arbitrary: fc.record({ t: fc.constant('inflight' as const), n: some(5) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      t: fc.constant('lose' as const),
      n: fc.nat(40),
      reason: fc.constantFrom('expired', 'kicked', 'memory'),
    }),
  },
)

// Whatever happens on the way, all comes once and in order, or is reported, in both directions: see Model.
test('nothing is lost, and nothing comes twice', async () => {
  const acts = fc.array(act, { minLength: 1, maxLength: 120, size: 'max' })
  const run = async (acts: Act[]) => {
    world.begin()
    const model = new Model(world)
    for (const a of acts) await model.act(a)
    await model.finish()
    await world.end()
  }
  await fc.assert(fc.asyncProperty(acts, run), { numRuns: RUNS })
}, 60_000)

const HELLO: Hello = {
  t: 'hello',
  at: 0,
  id: 'a',
  token: 't',
  resumed: false,
  recv: 0,
  window: 1,
  heartbeat: 0,
  maxBytes: 9,
  inflight: 3,
}

const step = fc.oneof(
  fc.record({ t: fc.constantFrom('send' as const, 'next' as const, 'tell' as const), n: fc.constant(0) }),
  fc.record({
    t: fc.constantFrom('ack' as const, 'resume' as const, 'lose' as const),
    n: fc.integer({ min: -1, max: 6 }),
  }),
  fc.record({ t: fc.constant('receive' as const), n: some(40), size: fc.nat(20_000), full: fc.boolean() }),
)

// The ledger by itself, against one list with a number for each message. n of an acknowledgement, and of what a hello
// says has been accepted, counts from the last acknowledgement.
test('the ledger counts as a list does', () => {
  const run = (steps: (typeof step extends fc.Arbitrary<infer S> ? S : never)[]) => {
    const ledger = new Ledger()
    let all: string[] = [] // of the session
    let [made, highest, acked, cursor, received, told, bytes] = [0, 0, 0, 0, 0, 0, 0]
    ledger.greet(HELLO)
    const isRight = (n: number, most: number) => n >= acked && n <= most
    for (const s of steps) {
      const n = acked + s.n
      if (s.t === 'send') {
        ledger.waiting.push(`m${++made}`)
        all.push(`m${made}`)
      } else if (s.t === 'next') {
        const may = cursor < highest || (cursor < all.length && highest - acked < HELLO.inflight)
        expect(ledger.next()).toBe(may ? all[cursor++] : undefined)
        highest = Math.max(highest, cursor)
      } else if (s.t === 'ack') {
        if (!isRight(n, cursor)) expect(() => ledger.acknowledged(n)).toThrow(Violation)
        else ledger.acknowledged((acked = n))
      } else if (s.t === 'receive') {
        const due = ledger.receive(s.n, s.size, s.full)
        received += s.n
        if (!s.full) bytes += s.size
        expect(due).toBe(!s.full && (received - told >= 64 || bytes >= 32 << 10))
      } else if (s.t === 'tell') {
        ledger.due = ledger.received
        expect(ledger.ack()).toBe((told = received))
        bytes = 0
      } else {
        expect(ledger.offer()[1]).toBe(`wspulse.v1.resume.YQ.${received}.t`)
        const resumed = s.t === 'resume'
        const greet = () => ledger.greet({ ...HELLO, resumed, recv: n, at: resumed ? received : 0 })
        if (resumed && !isRight(n, highest)) expect(greet).toThrow(Violation)
        else if (resumed) {
          expect(greet()).toBeUndefined()
          cursor = n
        } else {
          expect(greet()!.unprocessed).toEqual(all.slice(Math.max(acked, n), highest))
          all = all.slice(highest)
          highest = acked = cursor = received = told = bytes = 0
        }
      }
      expect(ledger.pending).toBe(all.length - acked)
      expect([ledger.acked, ledger.sent, ledger.received]).toEqual([acked, cursor, received])
    }
  }
  fc.assert(fc.property(fc.array(step, { maxLength: 100, size: 'max' }), run), { numRuns: RUNS })
})
