// Talks with the JavaScript client, one for each URL, all in this process; it prints what they have counted.
// node node.mjs {"library":"ws","clientjs":"…","urls":["ws://…"],"up":N,"down":N,"length":MS}
import { createRequire } from 'node:module'
import { startTalk } from '../../lossless/talk.mjs'

const { library, clientjs, urls, ...plan } = JSON.parse(process.argv[2])
const { WebSocket } = createRequire(`${clientjs}/package.json`)(library)
const { connect } = await import(`${clientjs}/dist/wspulse.js`)

const talks = await Promise.all(
  urls.map(async (url) => {
    const talk = startTalk({ connect, url, WebSocket, ...plan })
    await talk.done
    await talk.client?.close()
    return talk
  }),
)
console.log(JSON.stringify(talks))
