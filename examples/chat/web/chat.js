// The page of the chat: what it asks the server, and what it does with what it is told.

import { element, plural, Room, setText, showStats } from '/view.js'
import { connect, RefusedError, SessionLostError } from '/wspulse.js'

const offlineTime = 5 // seconds, after "Drop my connection"
const kickedCode = 4003
const loaded = Math.random().toString(36).slice(2)

let me = ''
let client // undefined: not connected yet, or not any more
let leaving // aborting it ends the client, or the attempt to connect
let lobby
let room // that is shown
const rooms = new Map() // by name; those whose joining is under way among them
let asked = 0 // requests
let pendingTimer = 0
let state = 'out' // connecting, connected, lost, ended

// The connection.

let socket // the last one
let network = Promise.resolve() // resolves when there is a network, as far as "Drop my connection" goes
let thawed = Promise.resolve() // resolves when the page reads, as far as "Freeze" goes
let thaw // has it read again; undefined: it reads

class Socket extends WebSocket {
  constructor(url, protocols) {
    super(url, protocols)
    socket = this
  }
}

/** Where to, for each dial. A new session is in the rooms of the one before. */
async function url() {
  await network
  const open = [...rooms.values()].filter((r) => r !== lobby && r.tab.isConnected)
  return `/ws?${new URLSearchParams([['name', me], ...open.map((r) => ['room', r.name])])}`
}

/** Comes in under a name, or goes on where a page that was reloaded was. */
function enter(name, saved) {
  me = on.me = name
  for (const r of rooms.values()) r.remove()
  rooms.clear()
  lobby = open('lobby')
  for (const r of saved?.rooms ?? []) open(r.name).restore(r)
  select(rooms.get(saved?.shown) ?? lobby)
  if (saved) showChat()
  return dial(saved)
}

/** Connects, and stays in the rooms that the page is in. */
async function dial(saved) {
  setState('connecting')
  leaving = new AbortController()
  let lost // of the last drop: when it was, what changes the line about it, and how many messages were dropped since

  const options = {
    signal: leaving.signal,
    session: saved?.session,
    retryFirst: !!saved,
    WebSocket: Socket,
    onMessage: (frame) => (thaw ? thawed.then(() => receive(frame)) : receive(frame)),
    onPresence(presence) {
      const r = rooms.get(presence.room)
      r?.present(presence)
      if (r && r === room) showRoom()
    },
    onDrop() {
      lost = { at: Date.now(), show: note('Connection lost…'), missed: 0 }
      setState('lost')
    },
    onRestore() {
      setState('connected')
      if (lost) tellBack(lost) // which nobody is to wait for
    },
    onGap(n) {
      if (lost) lost.missed += n
      note(`The server dropped ${plural(n, 'message')}: it had no room for more.`)
      caughtUp()
    },
    onSessionLost({ reason, unprocessed }) {
      // What has come back was said, whether or not the server could still acknowledge it.
      const unsent = unprocessed.filter(({ id, payload }) => rooms.get(payload?.room)?.waits(id))
      for (const { id, payload } of unsent) rooms.get(payload.room).unsent(id, `the session was lost (${reason}).`)
      lost?.show('Connection lost.')
      lost = undefined
      const n = unsent.length
      const sent = n ? ` ${plural(n, 'message of yours was', 'messages of yours were')} not sent.` : ''
      note(`The session is lost (${reason}): what was said meanwhile is missing.${sent}`)
    },
    onDisconnect(error) {
      client = undefined
      if (!error) showEnding('You have left.')
      else if (error.code === kickedCode) showEnding(`You were kicked out: ${error.reason}`)
      else showEnding(`The connection has ended: ${error.reason || error.message}`)
    },
    onPageHide(client) {
      // Whether it is closed or reloaded a page cannot know: the session waits for it, as long as the server keeps it.
      const session = client.exportSession()
      sessionStorage.saved = JSON.stringify({
        session,
        name: me,
        shown: room.name,
        rooms: [...rooms.values()].filter((r) => r.tab.isConnected).map((r) => r.save()),
      })
    },
  }

  try {
    client = await connect(url, options)
  } catch (error) {
    const why = error instanceof RefusedError ? error.reason || error.message : "the server can't be reached"
    showEntrance(leaving.signal.aborted ? '' : sentence(why))
    return
  }
  sessionStorage.name = me
  setState('connected')
  showChat()
  if (!saved) note('You are in.')
  element('text').focus()
}

/** Sends a request. It shows how much is on its way until that has arrived. */
function ask(event, payload, id = `${loaded}-${++asked}`) {
  const reply = client.request({ id, event, payload })
  showPending()
  client.drained().then(showPending, () => {})
  return reply
}

/** Says how much is on its way, unless that will have been acknowledged in a moment. */
function showPending() {
  const show = () => {
    const n = client?.pending ?? 0
    setText('pending', n ? `${plural(n, 'message')} on the way` : '')
  }
  clearTimeout(pendingTimer)
  if (!client?.pending || !client.connected || element('pending').textContent) show()
  else pendingTimer = setTimeout(show, 1500)
}

/** Waits until all has been shown that the server had for this page, and says whether that is so. */
async function caughtUp() {
  const waiting = [...rooms.values()].map((r) => [r, r.waiting])
  try {
    await ask('sync') // whose reply stands behind it
  } catch {
    return false // another session, or none
  }
  await thawed
  await new Promise((resolve) => setTimeout(resolve)) // for callbacks that wait for their turn
  for (const [r, ids] of waiting) r.settle(ids) // what was to come back by then will not
  return true
}

/** Says that the connection is back, and then whether something was missed. */
async function tellBack(lost) {
  const text = `Connection lost, and back after ${((Date.now() - lost.at) / 1000).toFixed(1)} s`
  lost.show(`${text}.`)
  if (await caughtUp())
    lost.show(`${text}: ${lost.missed ? `${plural(lost.missed, 'message')} missed` : 'nothing missed'}.`)
}

// What the server sends.

function receive({ id, event, payload }) {
  const r = rooms.get(payload?.room)
  if (event === 'message') r?.said(id, payload)
  else if (event === 'count') r?.counted(id, payload)
  else if (event === 'announcement') r?.add({ kind: event, ...payload, from: 'Announcement' })
  else if (event === 'private') room.add({ kind: event, ...payload, from: 'Only for you' })
  showTitle()
}

// Rooms.

const on = {
  me,
  select,
  async leave(r) {
    try {
      await client.leave(r.name)
      close(r)
    } catch (error) {
      tellError(r, error)
    }
  },
  again: say,
}

function open(name) {
  const r = rooms.get(name) ?? new Room(name, on)
  rooms.set(name, r)
  r.attach()
  return r
}

function close(r) {
  rooms.delete(r.name)
  r.remove()
  if (r === room) select(lobby)
  room.tab.focus()
}

function select(next) {
  if (room) room.draft = element('text').value
  room?.select(false)
  room = next
  room.select(true)
  element('text').value = room.draft
  setText('text-label', `Message to ${room.name}`)
  element('text').placeholder = `Message to ${room.name}`
  showRoom()
}

function showRoom() {
  setText('people-title', `People in ${room.name}`)
  room.showPeople(openKick)
  showTitle()
}

function showTitle() {
  const unread = [...rooms.values()].reduce((sum, r) => sum + r.unread, 0)
  document.title = `${unread ? `(${unread}) ` : ''}${room.name} · wspulse chat`
}

/** Says something in all rooms. It returns what changes that. */
function note(text) {
  const lines = [...rooms.values()].map((r) => r.add({ kind: 'note', text }))
  return (text) => {
    for (const change of lines) change(text)
  }
}

async function say(r, text) {
  const id = `${loaded}-${++asked}`
  r.wait(id, text)
  try {
    await ask('say', { room: r.name, text }, id)
    r.delivered(id)
  } catch (error) {
    if (!(error instanceof SessionLostError)) r.unsent(id, `${words(error)}.`)
    else if (!error.unprocessed) r.settle([id]) // it was said, and the reply is lost; onSessionLost does the rest
  }
}

// Joining, and kicking: each in a dialog that stays open until there is a reply.

function ready(dialog, form, error, submit) {
  for (const close of dialog.querySelectorAll('[data-close]')) close.addEventListener('click', () => dialog.close())
  dialog.addEventListener('close', () => (error.textContent = ''))
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    const button = form.querySelector('[type=submit]')
    button.disabled = true
    error.textContent = ''
    try {
      await submit()
      if (dialog.open) {
        dialog.close()
        element('text').focus()
      }
    } catch (e) {
      if (dialog.open) error.textContent = sentence(words(e))
      else tellError(room, e)
      form.querySelector('input').select()
    } finally {
      button.disabled = false
    }
  })
}

ready(element('join'), element('join-form'), element('join-error'), async () => {
  const name = element('room').value.trim()
  const r = rooms.get(name)
  await (r ? r.joining : join(name))
  select(rooms.get(name))
  element('room').value = ''
})

async function join(name) {
  const r = new Room(name, on)
  rooms.set(name, r) // what is said there may come before the reply
  r.joining = client.join(name)
  try {
    await r.joining
    r.attach()
  } catch (error) {
    rooms.delete(name)
    throw error
  }
}

let kicked = '' // whom the dialog is about

function openKick(name) {
  kicked = name
  setText('kick-title', `Kick ${name}`)
  element('reason').value = ''
  element('kick').showModal()
}

ready(element('kick'), element('kick-form'), element('kick-error'), async () => {
  const { payload: tabs } = await ask('kick', {
    name: kicked,
    reason: element('reason').value,
    key: element('key').value,
  })
  note(`You have kicked ${kicked} out (${plural(tabs, 'tab')}).`)
})

// The state of the connection.

const texts = { connecting: 'Connecting…', connected: 'Connected', lost: 'Coming back…', ended: 'Not connected' }

function setState(to) {
  state = to
  showState()
}

function showState() {
  const ended = state === 'ended'
  element('state').dataset.state = thaw && !ended ? 'frozen' : state
  setText('state-text', thaw && !ended ? 'Frozen' : texts[state])
  for (const id of ['drop', 'count']) element(id).disabled = state !== 'connected'
  for (const id of ['freeze', 'open-join', 'send']) element(id).disabled = !client
  element('leave').disabled = ended
  element('freeze').ariaPressed = String(!!thaw)
  element('composer').hidden = ended
  element('ending').hidden = !ended
  showPending()
}

function showChat() {
  element('entrance').hidden = true
  element('chat').hidden = false
  setText('me', me)
  showStatistics()
}

function showEntrance(refusal = '') {
  document.title = 'wspulse chat'
  element('chat').hidden = true
  element('entrance').hidden = false
  element('refusal').textContent = refusal
  element('name').value = me || (sessionStorage.name ?? '')
  element('name').select()
}

function showEnding(text) {
  freeze(false)
  for (const r of rooms.values()) r.clear()
  showRoom()
  setState('ended')
  setText('ending-text', sentence(text))
  element('rejoin').focus()
}

/** Closes the socket, and has no network for some seconds. */
function drop() {
  if (!element('now').hidden) return // it has none already
  let left = offlineTime
  network = new Promise((resolve) => {
    const end = () => {
      clearInterval(timer)
      element('countdown').textContent = ''
      element('now').hidden = true
      resolve()
    }
    const tick = () => {
      element('countdown').textContent = `in ${left} s`
      if (left-- === 0) end()
    }
    const timer = setInterval(tick, 1000)
    element('now').hidden = false
    element('now').onclick = end
    tick()
  })
  socket.close(4000, 'dropped by hand')
}

/** Has the page read nothing any more, or go on. */
function freeze(frozen) {
  thaw?.()
  thaw = undefined
  if (frozen) thawed = new Promise((resolve) => (thaw = resolve))
  showState()
}

async function showStatistics() {
  if (element('chat').hidden) return
  try {
    if (!document.hidden) showStats(await (await fetch('/stats')).json())
  } catch {
    // the server is away, which the page says elsewhere
  }
}

/** What an error says. */
const words = (error) => error.message.replace(/^wspulse: /, '')

function tellError(r, error) {
  r.add({ kind: 'error', text: sentence(words(error)) })
}

function sentence(text) {
  return `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`
}

// What the person does.

element('enter').addEventListener('submit', async (event) => {
  event.preventDefault()
  const button = element('enter').querySelector('[type=submit]')
  button.disabled = true
  await enter(element('name').value.trim())
  button.disabled = false
})
element('composer').addEventListener('submit', (event) => {
  event.preventDefault()
  const text = element('text').value.trim()
  if (!text || !client) return
  element('text').value = ''
  say(room, text)
})
element('tabs').addEventListener('keydown', (event) => {
  const tabs = [...rooms.values()].filter((r) => r.tab.isConnected)
  const at = tabs.indexOf(room)
  const to = { ArrowLeft: at - 1, ArrowUp: at - 1, ArrowRight: at + 1, ArrowDown: at + 1, Home: 0, End: -1 }[event.key]
  if (to === undefined) return
  event.preventDefault()
  select(tabs.at(to % tabs.length))
  room.tab.focus()
})
function showSide(shown) {
  element('side').classList.toggle('shown', shown)
  element('more').ariaExpanded = String(shown)
}
addEventListener('keydown', (event) => {
  if (event.key !== 'Escape' || !element('side').classList.contains('shown')) return
  showSide(false)
  element('more').focus()
})
element('more').addEventListener('click', () => showSide(!element('side').classList.contains('shown')))
element('open-join').addEventListener('click', () => element('join').showModal())
element('drop').addEventListener('click', drop)
element('freeze').addEventListener('click', () => freeze(!thaw))
element('count').addEventListener('click', () => ask('count', { room: room.name }).catch((e) => tellError(room, e)))
element('leave').addEventListener('click', () => leaving.abort())
element('rejoin').addEventListener('click', () => dial())
element('change').addEventListener('click', () => showEntrance())
setInterval(showStatistics, 2000)

const saved = JSON.parse(sessionStorage.saved ?? 'null')
delete sessionStorage.saved // so that a copy of this tab is another one
if (saved) enter(saved.name, saved)
else showEntrance()
