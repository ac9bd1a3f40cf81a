import { expect, test } from 'vitest'
import { newWorld, pass } from './world.js'

const world = newWorld()

for (const end of ['close', 'exportSession'] as const)
  test(`a client that ends in onDrop never comes back: ${end}`, async () => {
    const a = await world.connect({ onDrop: (_, client) => void client[end]() })
    world.socket.end()
    await pass(60_000)
    expect(a.heard()).toBe('disconnect')
    expect(world.dials).toBe(1)
  })
