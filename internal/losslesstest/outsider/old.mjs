// Visits an old server with the JavaScript client, and prints what it has found: see ../../lossless/old.mjs.
// node old.mjs {"library":"ws","clientjs":"…","url":"ws://…"}
import { createRequire } from 'node:module'
import { visitOld } from '../../lossless/old.mjs'

const { library, clientjs, url } = JSON.parse(process.argv[2])
const { WebSocket } = createRequire(`${clientjs}/package.json`)(library)
const { connect } = await import(`${clientjs}/dist/wspulse.js`)
console.log(JSON.stringify(await visitOld({ connect, url, WebSocket })))
process.exit() // undici leaves the connection open whose handshake it refuses
