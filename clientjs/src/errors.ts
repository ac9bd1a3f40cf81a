/** The client has ended, or ended while something was under way. */
export class ConnectionClosedError extends Error {
  override name = 'ConnectionClosedError'
  constructor() {
    super('wspulse: connection closed')
  }
}

/** As many messages wait to be sent as `sendBuffer` allows. The frame was dropped. */
export class SendBufferFullError extends Error {
  override name = 'SendBufferFullError'
  constructor(bound: number) {
    super(`wspulse: ${bound} frames wait to be sent (sendBuffer)`)
  }
}

/** The server does not let the client in, or has ended its connection and said why. */
export class RefusedError extends Error {
  override name = 'RefusedError'
  constructor(
    /** "unauthorized", "kicked", …, or what the server's program says. */
    readonly reason: string,
    /** Of the close frame; 0: there was none. */
    readonly code: number,
    /** Whether it makes sense to come back. */
    readonly reconnect: boolean,
    /** When to come back, in ms: at least and at most. */
    readonly after?: [number, number],
  ) {
    super(`wspulse: refused: ${reason} (close code ${code})`)
  }
}

/** The reply to a request says that it has failed. A handler throws one to choose what the server is told. */
export class ReplyError extends Error {
  override name = 'ReplyError'
  constructor(
    /** For programs; empty where the payload is not `{code, message}`. */
    readonly code: string,
    /** For people, and the server's own words; there it is the whole payload. */
    message: string,
  ) {
    super(message)
  }
}

/** The session of a request did not survive a drop: the reply will not come. */
export class SessionLostError extends Error {
  override name = 'SessionLostError'
  constructor(
    /** Why the session is gone, as in `Lost`. */
    readonly reason: string,
    /**
     * The request is among `Lost.unprocessed`: the server's program has not processed it, as far as is known, and it
     * may be made again. Otherwise it was processed, and its reply is lost.
     */
    readonly unprocessed: boolean,
  ) {
    super(`wspulse: session lost (${reason}), request ${unprocessed ? 'not ' : ''}processed`)
  }
}

/** Reports an error that is nobody else's: of a callback, or a message that can't be read. */
export const report = (error: unknown) =>
  ((globalThis as { reportError?: (e: unknown) => void }).reportError ?? console.error)(error)
