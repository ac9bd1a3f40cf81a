// What the page shows. Whatever comes from others is put into it as text (textContent), never as HTML.

export const element = (id) => document.getElementById(id)

const longestLog = 500 // entries
const kept = 200 // entries that outlive a reload
const { format: number } = new Intl.NumberFormat('en')
const isTalk = (kind) => kind === 'message' || kind === 'announcement' || kind === 'private'

export const plural = (n, one, many = `${one}s`) => `${number(n)} ${n === 1 ? one : many}`

export function make(tag, className, ...content) {
  const made = document.createElement(tag)
  made.className = className
  made.append(...content) // strings become text nodes
  return made
}

/** Sets a text, and leaves alone one that is the same: it may be a live region. */
export function setText(id, text) {
  if (element(id).textContent !== text) element(id).textContent = text
}

/** The initial of a name, in a colour that goes with it. */
function avatar(name) {
  const circle = make('span', 'avatar', [...name][0].toUpperCase())
  let hue = 0
  for (const letter of name) hue = (hue * 31 + letter.codePointAt(0)) % 360
  circle.style.setProperty('--hue', hue)
  circle.ariaHidden = 'true'
  return circle
}

function button(text, onclick) {
  const made = make('button', '', text)
  made.type = 'button'
  made.addEventListener('click', onclick)
  return made
}

/** A room that the page is in: a tab, and a panel with what was said. */
export class Room {
  entries = [] // what the log shows, the oldest first
  people = new Map() // {tabs, away} by name
  unread = 0
  draft = ''
  #waiting = new Map() // what was said and has not come back yet: {text, item}, by the ID of the request
  #settled = new Set() // IDs of what was shown without having come back
  #tallies = new Map() // entries of counts, by the ID of the request
  #items = new Map() // of the log, by entry
  #atEnd = true // the log is scrolled to its end, and is kept there

  /** on has the functions select(room), leave(room), again(room, text), and me, the name. */
  constructor(name, on) {
    this.name = name
    this.on = on
    this.tab = button(name, () => on.select(this))
    this.tab.id = `tab-${name}`
    this.tab.role = 'tab'
    this.tab.setAttribute('aria-controls', `panel-${name}`)
    this.badge = make('span', 'badge')
    this.tab.append(this.badge)

    const title = make('h2', '', name)
    this.count = make('p', 'hint')
    const head = make('div', 'head', title, this.count)
    if (name !== 'lobby') {
      const leave = button('Leave room', () => on.leave(this))
      leave.className = 'quiet'
      head.append(leave)
    }
    this.log = make('ol', 'log')
    this.outbox = make('ol', 'log outbox')
    this.outbox.ariaLive = 'off'
    this.outbox.ariaLabel = 'Not delivered yet'
    this.scroller = make('div', 'scroller', this.log, this.outbox)
    this.scroller.role = 'log'
    this.scroller.tabIndex = 0
    this.scroller.ariaLabel = `Messages in ${name}`
    this.panel = make('section', 'panel', head, this.scroller)
    this.panel.id = `panel-${name}`
    this.panel.role = 'tabpanel'
    this.panel.setAttribute('aria-labelledby', this.tab.id)
    this.select(false)

    this.scroller.addEventListener('scroll', () => {
      const { scrollHeight, scrollTop, clientHeight } = this.scroller
      this.#atEnd = scrollHeight - scrollTop - clientHeight < 40
    })
    new ResizeObserver(() => this.#showEnd()).observe(this.scroller)
  }

  attach() {
    element('tabs').append(this.tab)
    element('panels').append(this.panel)
  }

  remove() {
    this.tab.remove()
    this.panel.remove()
  }

  select(selected) {
    this.panel.hidden = !selected
    this.tab.ariaSelected = String(selected)
    this.tab.tabIndex = selected ? 0 : -1
    if (!selected) return
    this.tab.scrollIntoView({ block: 'nearest', inline: 'nearest' })
    this.#read(0)
    this.#showEnd()
  }

  #read(unread) {
    this.unread = unread
    this.badge.hidden = !unread
    this.badge.replaceChildren(number(unread), make('span', 'visually-hidden', ' unread'))
  }

  #showEnd() {
    if (this.#atEnd) this.scroller.scrollTop = this.scroller.scrollHeight
  }

  /** Shows an entry: {kind, from, text, at}, where kind is also the class. It returns what changes its text. */
  add(entry) {
    const item = make('li', entry.kind)
    this.entries.push(entry)
    this.#items.set(entry, item)
    this.#fill(item, entry)
    this.log.append(item)
    if (this.entries.length > longestLog) {
      const oldest = this.entries.shift()
      this.#items.get(oldest).remove()
      this.#items.delete(oldest)
    }
    if (this.panel.hidden && isTalk(entry.kind)) this.#read(this.unread + 1)
    this.#showEnd()
    return (text) => {
      entry.text = text
      item.textContent = text
      this.#showEnd()
    }
  }

  #fill(item, entry) {
    const { kind, from, text, at } = entry
    if (kind === 'tally') {
      const bar = make('progress', '')
      bar.ariaLabel = `${from} counts`
      item.ariaLive = 'off'
      item.append(make('p', 'who', `${from} counts`), bar, make('p', 'text'))
      this.#showTally(item, entry)
    } else if (isTalk(kind)) {
      const time = make('time', '', new Date(at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' }))
      time.dateTime = new Date(at).toISOString()
      item.append(make('p', 'from', make('span', 'who', from), time), make('p', 'text', text))
      if (kind !== 'message') return
      item.prepend(avatar(from))
      item.dataset.from = from
      item.classList.toggle('own', from === this.on.me)
      item.classList.toggle('continued', this.log.lastElementChild?.dataset.from === from)
    } else item.textContent = text
  }

  // What was said here and is on its way.

  /** Shows what is being sent. */
  wait(id, text) {
    const item = make('li', 'message own', make('p', 'text', text), make('p', 'fate', 'sending…'))
    this.#waiting.set(id, { text, item })
    this.outbox.append(item)
    this.#atEnd = true
    this.#showEnd()
  }

  waits(id) {
    return this.#waiting.has(id)
  }

  /** What the server has processed, and what it has not told the room of yet, as far as this page knows. */
  delivered(id) {
    const fate = this.#waiting.get(id)?.item.querySelector('.fate')
    if (fate) fate.textContent = 'delivered'
  }

  /** What will not come back by itself. */
  unsent(id, why) {
    if (!this.waits(id)) return
    const { item, text } = this.#waiting.get(id)
    if (item.classList.contains('unsent')) return
    const discard = () => {
      this.#waiting.delete(id)
      item.remove()
    }
    const again = () => {
      discard()
      this.on.again(this, text)
    }
    const fate = make('p', 'fate', `Not sent: ${why} `, button('Send again', again), button('Discard', discard))
    fate.role = 'alert'
    item.classList.add('unsent')
    item.querySelector('.fate').replaceWith(fate)
    this.#showEnd()
  }

  /** A message has come. */
  said(id, entry) {
    if (this.#settled.delete(id)) return
    this.#waiting.get(id)?.item.remove()
    this.#waiting.delete(id)
    this.add({ kind: 'message', ...entry })
  }

  /** IDs of what waits to come back. */
  get waiting() {
    return [...this.#waiting].filter(([, { item }]) => !item.classList.contains('unsent')).map(([id]) => id)
  }

  /** Of these has been told, and the page has not heard it. */
  settle(ids) {
    for (const id of ids) {
      const { text } = this.#waiting.get(id) ?? {}
      if (text === undefined) continue
      this.said(id, { from: this.on.me, text, at: Date.now() })
      this.#settled.add(id)
    }
  }

  // Counts: one entry each, however many numbers there are.

  counted(id, { from, n, of }) {
    let tally = this.#tallies.get(id)
    if (!tally) {
      for (const [id, before] of this.#tallies) this.#endTally(id, before) // there is one count at a time
      tally = { kind: 'tally', id, from, n: 0, of, came: 0, wrong: 0 }
      this.#tallies.set(id, tally)
      this.add(tally)
    }
    if (n <= tally.n) tally.wrong++
    tally.n = Math.max(n, tally.n)
    tally.came++
    const item = this.#items.get(tally)
    if (item) this.#showTally(item, tally)
    if (n === of) this.#endTally(id, tally)
  }

  /** There will be no more numbers: those that have not come are missing. */
  #endTally(id, tally) {
    this.#tallies.delete(id)
    tally.over = true
    const item = this.#items.get(tally)
    if (item) this.#showTally(item, tally)
  }

  #showTally(item, { n, of, came, wrong, over }) {
    const [bar, text] = item.querySelectorAll('progress, .text')
    const missing = (over ? of : n) - came
    const news = [missing && `${number(missing)} missing`, wrong && `${number(wrong)} out of order`]
    bar.max = of
    bar.value = n
    text.textContent = [`${number(came)} of ${number(of)} came in order`, ...news.filter((s) => s)].join(', ')
  }

  // Who is here.

  present({ members, first }) {
    const before = this.people
    this.people = new Map()
    for (const { user, away } of members) {
      const { tabs, away: all } = this.people.get(user) ?? { tabs: 0, away: true }
      this.people.set(user, { tabs: tabs + 1, away: all && !!away })
    }
    this.count.textContent = plural(this.people.size, 'person', 'people')
    for (const name of new Set([...before.keys(), ...this.people.keys()])) {
      const [was, is] = [before.get(name), this.people.get(name)]
      if (first || name === this.on.me) continue
      if (!was) this.add({ kind: 'note', text: `${name} joined` })
      else if (!is) this.add({ kind: 'note', text: `${name} left` })
      else if (was.away !== is.away)
        this.add({ kind: 'note', text: `${name} ${is.away ? 'lost the connection' : 'is back'}` })
    }
  }

  showPeople(onkick) {
    const list = element('people')
    const focus = list.contains(document.activeElement) ? document.activeElement.ariaLabel : ''
    list.replaceChildren(
      ...[...this.people].sort().map(([name, { tabs, away }]) => {
        const item = make('li', away ? 'away' : '', avatar(name), make('span', 'who', name))
        if (name === this.on.me) item.append(make('span', 'badge', 'you'))
        if (tabs > 1) item.append(make('span', 'badge', `${tabs} tabs`))
        if (away) item.append(make('span', 'badge', 'away'))
        if (name !== this.on.me) {
          const kick = button('Kick', () => onkick(name))
          kick.className = 'quiet'
          kick.ariaLabel = `Kick ${name}`
          item.append(kick)
        }
        return item
      }),
    )
    if (focus) [...list.querySelectorAll('button')].find((kick) => kick.ariaLabel === focus)?.focus()
  }

  clear() {
    this.people = new Map()
    this.count.textContent = ''
  }

  // What outlives a reload.

  save() {
    const waiting = [...this.#waiting].map(([id, { text }]) => [id, text])
    return { name: this.name, entries: this.entries.slice(-kept), waiting }
  }

  restore({ entries, waiting }) {
    for (const entry of entries) {
      this.add(entry)
      if (entry.kind === 'tally' && !entry.over) this.#tallies.set(entry.id, entry)
    }
    for (const [id, text] of waiting) this.wait(id, text)
  }
}

export function showStats(s) {
  const bytes =
    s.queuedBytes < 10_000 ? `${number(s.queuedBytes)} B` : `${number(Math.round(s.queuedBytes / 1024))} KiB`
  const rows = {
    Sessions: number(s.sessions),
    Away: number(s.suspended),
    Rooms: number(s.rooms),
    Resumes: number(s.resumed),
    'Frames sent': number(s.sent),
    'Sent again': number(s.replayed),
    Dropped: number(s.dropped),
    'Kept now': bytes,
  }
  element('stats').replaceChildren(
    ...Object.entries(rows).flatMap(([name, value]) => [make('dt', '', name), make('dd', '', value)]),
  )
}
