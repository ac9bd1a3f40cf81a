// A worker, dedicated or shared, that has a talk with a client of its own, and tells the page how it stands.
import { startTalk } from './talk.mjs'
import { connect } from './wspulse.mjs'

const serve = (port) => {
  port.onmessage = ({ data }) => {
    const talk = startTalk({ connect, ...data })
    const tell = () => port.postMessage({ ...talk })
    setInterval(tell, 50)
    talk.done.then(tell)
  }
}

if ('onconnect' in globalThis) globalThis.onconnect = ({ ports: [port] }) => serve(port)
else serve(globalThis)
