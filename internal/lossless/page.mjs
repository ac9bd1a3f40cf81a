// What talk.html does: its fragment is a talk, as JSON. With `keep` a session goes on over a reload, with `worker` the
// talk is one of a worker of that type, "Worker" or "SharedWorker". What is counted is in `globalThis.talk`.
import { visitOld } from './old.mjs'
import { startTalk } from './talk.mjs'
import { connect } from './wspulse.mjs'

const events = [] // what has happened to the page, in order
Object.assign(globalThis, { events, ticks: 0, connect })
for (const [target, names] of [
  [window, ['pageshow', 'pagehide', 'online', 'offline']],
  [document, ['freeze', 'resume', 'visibilitychange']],
])
  for (const name of names)
    target.addEventListener(name, (e) => {
      const { persisted } = e
      events.push(name === 'visibilitychange' ? document.visibilityState : persisted ? `${name} persisted` : name)
    })
setInterval(() => globalThis.ticks++, 10)

globalThis.start = ({ keep, worker, ...talk }) => {
  if (worker) return startWorker(worker, talk)
  const { from, session } = keep ? take() : {}
  const onPageHide = keep && ((client, talk) => put({ from: talk, session: client.exportSession() }))
  globalThis.talk = startTalk({ connect, ...talk, from, options: { ...talk.options, session, onPageHide } })
}

const put = (state) => sessionStorage.setItem('talk', JSON.stringify(state))

/** Takes the session out of the storage, where nobody finds it again. */
function take() {
  const kept = JSON.parse(sessionStorage.getItem('talk') ?? '{}')
  if (!globalThis.careless) sessionStorage.removeItem('talk')
  return kept
}

globalThis.visit = async (url) => {
  globalThis.visited = await visitOld({ connect, url })
}

/** The worker says how it stands. */
function startWorker(type, talk) {
  const worker = new globalThis[type]('/worker.mjs', { type: 'module' })
  const port = worker.port ?? worker
  port.onmessage = ({ data }) => {
    globalThis.talk = data
  }
  port.postMessage(talk)
}

if (location.hash) globalThis.start(JSON.parse(decodeURIComponent(location.hash.slice(1))))
