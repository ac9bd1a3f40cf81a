import { expect, test, vi } from 'vitest'
import { newWorld, pass, sleep, until } from './world.js'

// World looks after each test whether binaryType was set in the tick of the constructor, setInterval was called, somebody
// listened to unload or beforeunload, and whether there were ever two sockets.

const world = newWorld()

test('nothing is listened to but what is needed, and nothing when it is over', async () => {
  const page = world.becomePage()
  const signals: AbortSignal[] = []
  for (const target of [page.window, page.document]) {
    const add = target.addEventListener
    vi.spyOn(target, 'addEventListener').mockImplementation((event: string, fn: any, options: any) => {
      signals.push(options.signal)
      add.call(target, event, fn, options)
    })
  }
  vi.stubGlobal('addEventListener', page.window.addEventListener)
  const a = await world.connect()
  expect([...page.listened].sort()).toEqual(['online', 'pagehide', 'pageshow', 'resume', 'visibilitychange'])
  expect(signals.map((s) => s.aborted)).toEqual(Array(5).fill(false))
  await a.client.close()
  expect(signals.map((s) => s.aborted)).toEqual(Array(5).fill(true))
})

const awake: [string, () => void][] = [
  ['it becomes visible', () => world.page!.become('visible')],
  ['it comes from the back/forward cache', () => world.page!.pageshow(true)],
  ['it is resumed', () => world.page!.resume()],
  ['the network is back', () => world.page!.online()],
]

for (const [name, wake] of awake) {
  test(`a page asks whether the server is there when ${name}, and comes back at once where it is not`, async () => {
    world.becomePage()
    const a = await world.connect()
    wake()
    expect(world.socket.said()).toBe('ping@0')
    await pass(2999)
    expect(a.heard()).toBe('')
    vi.spyOn(Math, 'random').mockReturnValue(0.99)
    await pass(1)
    expect(a.heard()).toBe('drop')
    await pass(1)
    expect(world.dials).toBe(2)
  })

  test(`a page that waits dials at once when ${name}`, async () => {
    world.becomePage()
    await world.connect()
    vi.spyOn(Math, 'random').mockReturnValue(0.99)
    world.socket.end()
    wake()
    await pass()
    expect(world.dials).toBe(2)
    wake() // it dials already
    await pass()
    expect(world.dials).toBe(2)
  })
}

test('what is no sign that somebody is back changes nothing', async () => {
  const page = world.becomePage()
  const a = await world.connect()
  page.become('hidden')
  page.pageshow(false)
  page.offline()
  a.client.send({ event: 'c' })
  await pass(3000)
  expect(world.socket.said()).toBe('c')
  page.become('visible')
  world.socket.control({ t: 'pong', at: 0 })
  await world.redial() // while the page is offline
  world.socket.hello({ token: 't2', resumed: true, recv: 1 })
  expect(a.heard()).toBe('drop restore')
})

test('a pong is an answer, and so is anything else that comes', async () => {
  world.becomePage()
  const a = await world.connect()
  world.page!.online()
  await pass(2000)
  world.socket.control({ t: 'pong', at: 0 })
  await pass(2000)
  world.page!.online()
  world.page!.resume()
  expect(world.socket.said()).toBe('ping@0 ping@0')
  await pass(2000)
  world.socket.data({ event: 's' })
  await pass(2000)
  expect(a.heard()).toBe('s')
  await pass(4000)
  expect(a.heard()).toBe('drop')
})

test('a pong that is awaited by one connection is not by the next', async () => {
  world.becomePage()
  const a = await world.connect()
  world.page!.online()
  await world.redial()
  world.socket.hello({ token: 't2', resumed: true })
  await pass(20_000)
  expect(a.heard()).toBe('drop restore')
})

test('a path is dead when nothing has come for 2.5 heartbeats', async () => {
  const a = await world.connect()
  await pass(20_000)
  world.socket.control({ t: 'ping', at: 0 })
  await pass(24_999)
  world.socket.data({ event: 's' })
  await pass(24_999)
  expect(a.heard()).toBe('s')
  await pass(1)
  expect(a.heard()).toBe('drop')
})

test('a path is dead also where the clock was set back', async () => {
  const a = await world.connect()
  vi.setSystemTime(Date.now() - 3_600_000)
  await pass(51_000)
  expect(a.heard()).toBe('drop')
})

test('the option heartbeat counts, and not what the server says', async () => {
  const a = await world.connect({ heartbeat: 1000 })
  await pass(2499)
  expect(a.client.connected).toBe(true)
  await pass(1)
  expect(a.client.connected).toBe(false)
})

test('a page that has slept asks, and drops nothing that lives', async () => {
  const a = await world.connect()
  await sleep(60_000)
  expect([a.heard(), world.socket.said()]).toEqual(['', 'ping@0'])
  await sleep(60_000) // and the timer of the pong with it
  world.socket.control({ t: 'pong', at: 0 })
  await pass(20_000)
  expect(a.heard()).toBe('')
})

// Timers of a hidden page fire once a minute.
test('a path that is dead is given up also where every timer is late', async () => {
  world.becomePage().document.visibilityState = 'hidden'
  const a = await world.connect({ background: true })
  for (let i = 0; i < 3; i++) await sleep(60_000)
  expect(a.heard()).toBe('drop')
  expect(world.socket.said()).toBe('ping@0')
})

test('a page that is hidden does not dial until somebody looks', async () => {
  const page = world.becomePage()
  const a = await world.connect()
  page.document.visibilityState = 'hidden' // without an event: it is read when it matters
  world.socket.end()
  await pass(3_600_000)
  page.online()
  page.resume()
  page.pageshow(true)
  await pass(3_600_000)
  expect([a.heard(), world.dials]).toEqual(['drop', 1])
  page.become('visible')
  await pass()
  expect(world.dials).toBe(2)
})

test('a page that becomes visible during the wait, without an event, dials when the wait is over', async () => {
  const page = world.becomePage()
  await world.connect()
  page.document.visibilityState = 'hidden'
  world.socket.end()
  page.document.visibilityState = 'visible'
  expect(await until(() => world.dials === 2, 500)).toBe(true)
})

test('a page that is hidden dials with background', async () => {
  world.becomePage().document.visibilityState = 'hidden'
  await world.connect({ background: true })
  await world.redial()
})

test('a page that goes away for good says bye', async () => {
  const page = world.becomePage()
  const a = await world.connect()
  page.pagehide(false)
  expect(world.socket.said()).toBe('bye@0')
  expect(world.socket.closed).toEqual([1000, undefined])
  await pass()
  expect(a.heard()).toBe('disconnect')
})

test('a page that may come back waits without a connection, and says nothing', async () => {
  const page = world.becomePage()
  const hidden: unknown[] = []
  const a = await world.connect({ onPageHide: (client) => void hidden.push(client) })
  page.become('hidden')
  page.pagehide(true)
  await pass(60_000)
  expect([world.socket.said(), world.socket.closed, a.client.connected, hidden]).toEqual([
    '',
    [undefined, undefined],
    false,
    [],
  ])
  expect([a.heard(), world.dials]).toEqual(['drop', 1])
  page.become('visible')
  page.pageshow(true)
  await pass()
  expect(world.dials).toBe(2)
  world.socket.hello({ token: 't2', resumed: true })
  await pass()
  expect(a.heard()).toBe('restore')
  page.pagehide(false)
  expect(hidden).toEqual([a.client])
})

test('a page that exports its session in onPageHide says no bye', async () => {
  const page = world.becomePage()
  const stored: unknown[] = []
  await world.connect({ onPageHide: (client) => void stored.push(client.exportSession()) })
  page.pagehide(false)
  expect(stored).toEqual([expect.objectContaining({ id: 'alice', token: 't1' })])
  expect(world.socket.said()).toBe('')
  expect(world.socket.readyState).toBeGreaterThan(1)
})
