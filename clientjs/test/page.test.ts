import { expect, test } from 'vitest'
import { newWorld, sleep } from './world.js'

const world = newWorld()

// Timers of a hidden page fire once a minute.
test('a path that is dead is given up also where every timer is late', async () => {
  world.becomePage().document.visibilityState = 'hidden'
  const a = await world.connect({ background: true })
  for (let i = 0; i < 3; i++) await sleep(60_000)
  expect(a.heard()).toBe('drop')
  expect(world.socket.said()).toBe('ping@0')
})
