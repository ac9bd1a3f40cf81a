import { expect, test } from 'vitest'
import { parse, Violation } from '../src/control.js'

const HELLO =
  '"t":"hello","at":0,"id":"a","token":"t","resumed":false,"recv":0,"window":0,"heartbeat":0,"maxBytes":1,"inflight":1'

const utf8 = (text: string) => new TextEncoder().encode(text).buffer

test('control messages are read, of either opcode, with fields of tomorrow', () => {
  expect(parse(`{${HELLO},"later":[1]}`)).toMatchObject({ t: 'hello', id: 'a', inflight: 1 })
  expect(parse(utf8('{"t":"ack","n":0,"at":9007199254740991}'))).toEqual({ t: 'ack', n: 0, at: 2 ** 53 - 1 })
  expect(parse('{"t":"gap","n":1,"at":0}')).toMatchObject({ n: 1 })
  for (const after of ['', ',"after":[0,0]', ',"after":[5,5]', ',"after":[1,9007199254740991]'])
    expect(parse(`{"t":"bye","at":0,"reason":"","reconnect":true${after}}`)).toMatchObject({ t: 'bye' })
  expect(parse('{"t":"pong","at":0}'.padEnd(4096))).toEqual({ t: 'pong', at: 0 })
})

const WRONG = [
  ...['', '{', '[]', 'null', '7', '"ping"', '{}', '{"at":0}', '{"t":"ping"}', '{"t":"toString","at":0}'],
  ...['{"t":"ping","at":-1}', '{"t":"ping","at":0.5}', '{"t":"ping","at":"0"}', '{"t":"ping","at":9007199254740992}'],
  ...['{"t":"ack","at":0}', '{"t":"ack","n":null,"at":0}', '{"t":"gap","n":0,"at":0}'],
  ...['"id":7', '"resumed":0', '"recv":-1', '"window":"0"', '"heartbeat":null', '"maxBytes":0', '"inflight":0'].map(
    (field) => `{${HELLO},${field}}`,
  ),
  ...['', '"reason":""', '"reason":7,"reconnect":true', '"reason":"","reconnect":1'].map(
    (fields) => `{"t":"bye","at":0${fields && `,${fields}`}}`,
  ),
  ...['5', '{}', '[]', '[1]', '[2,1]', '[-1,1]', '["1",2]', '[0,1e308]'].map(
    (after) => `{"t":"bye","at":0,"reason":"","reconnect":true,"after":${after}}`,
  ),
  '{"t":"ping","at":0}'.padEnd(4097),
]

test('what is none is refused', () => {
  for (const text of WRONG) for (const data of [text, utf8(text)]) expect(() => parse(data), text).toThrow(Violation)
})

test('what is no UTF-8 is no control message', () => {
  expect(() =>
    parse(new Uint8Array([...new Uint8Array(utf8('{"t":"ping","at":0,"x":"')), 255, 34, 125]).buffer),
  ).toThrow(Violation)
})
