import { expect, test } from 'vitest'
import { newWorld, pass, until } from './world.js'

const world = newWorld()

test('without wspulse.v1 it is a socket that comes back: no control messages, no promises', async () => {
  const page = world.becomePage()
  const a = await world.connect({ protocol: false, protocols: ['chat', 'token'] })
  expect(world.socket.offers).toEqual(['chat', 'token'])
  a.client.send({ event: 'c1' })
  for (let i = 0; i < 100; i++) world.socket.data({ event: 's' })
  page.online()
  page.become('visible')
  await pass(3_600_000) // and no heartbeat is known
  expect(world.socket.said()).toBe('c1')
  expect([a.client.id, a.client.pending]).toEqual(['', 0])
  a.heard()
  await world.redial()
  a.client.send({ event: 'c2' })
  expect(a.client.pending).toBe(1)
  world.socket.open('')
  expect([a.heard(), world.socket.said(), a.client.pending]).toEqual(['drop restore', 'c2', 0])
  expect(a.client.exportSession()).toBeUndefined()
  await a.client.close()
  expect([world.socket.said(), world.socket.closed]).toEqual(['', [1000, undefined]])
})

test('without wspulse.v1 all that comes is data', async () => {
  const a = await world.connect({ protocol: false })
  world.socket.data('{"t":"bye","event":"bye"}')
  world.socket.raw('{"t":"bye"}')
  expect(a.heard()).toBe('bye')
  expect(world.reported()).toEqual(['wspulse: a message is no frame: dropped'])
})

test('without wspulse.v1 the option heartbeat finds a dead path', async () => {
  const a = await world.connect({ protocol: false, heartbeat: 1000 })
  await pass(2000)
  world.socket.data({ event: 's' })
  await pass(2499)
  expect(a.heard()).toBe('s')
  await pass(1)
  expect(a.heard()).toBe('drop')
})

test('without wspulse.v1 a close frame is a drop, whatever its code', async () => {
  const a = await world.connect({ protocol: false })
  world.socket.end(1000, 'go away')
  expect(a.errors[0]).toMatchObject({ code: 1000, reason: 'go away' })
  expect(await until(() => world.dials === 2, 500)).toBe(true)
})
