// The signaling connection: protoo's envelope over a WebSocket. Requests are matched with their
// responses, notifications are handed on. It knows no browser API but WebSocket, which may be
// given: tests give one of their own.

/** Whatever goes wrong in this package. `message` is meant to be shown to a person. */
export class CorinthError extends Error {
  /**
   * @param {string | number} code  One word for programs: `bad-name`, `unreachable`, `timeout`,
   *   `closed`, `no-codec`, `negotiation`, `wrong-state`; a number where the server said it.
   * @param {string} message
   * @param {ErrorOptions} [options]
   */
  constructor(code, message, options) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** The server refused a request, and nothing has changed. `code`: 400, 403, 404, 409, 415, 429… */
export class RequestError extends CorinthError {
  /**
   * @param {string} method
   * @param {number} code
   * @param {string} reason
   */
  constructor(method, code, reason) {
    super(code, reason || `The server refused "${method}" (${code}).`);
    this.method = method;
  }
}

/** The server did not respond in time; whether it did what was asked is not known. */
export class TimeoutError extends CorinthError {
  /** @param {string} message */
  constructor(message) {
    super('timeout', message);
  }
}

/** The connection is closed, or could not be opened. */
export class ClosedError extends CorinthError {
  /**
   * @param {string} message
   * @param {{ closeCode?: number, reason?: string, code?: string }} [what]
   *   `closeCode`: of the WebSocket; 4000 is final, any other may be tried again.
   */
  constructor(message, { closeCode = 1006, reason = '', code = 'closed' } = {}) {
    super(code, message);
    this.closeCode = closeCode;
    this.reason = reason;
  }
}

/** The close code of every end that is meant: left, replaced, kicked, room closed. */
export const FINAL_CLOSE = 4000;

/** One connection. Open it with {@link Protoo.open}; a closed one stays closed. */
export class Protoo {
  #socket;
  #timeout;
  #nextId = 1;
  /** @type {Map<number, { method: string, settle: (error: Error | null, data?: any) => void }>} */
  #requests = new Map();
  #pace = new Pace();
  #closed = false;

  /** @type {(method: string, data: any) => void} */
  onnotification = () => {};
  /** Called once, when the connection ends. @type {(code: number, reason: string) => void} */
  onclose = () => {};

  /**
   * @param {string} url  `ws://…` or `wss://…`
   * @param {object} [options]
   * @param {number} [options.timeout]  Milliseconds for opening, and for each request.
   * @param {typeof WebSocket} [options.WebSocket]
   * @returns {Promise<Protoo>}
   * @throws {ClosedError} `unreachable`
   * @throws {TimeoutError}
   */
  static open(url, { timeout = 10_000, WebSocket = globalThis.WebSocket } = {}) {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(url, 'protoo');
      const refuse = (error) => {
        clearTimeout(timer);
        socket.onopen = socket.onclose = null;
        reject(error);
      };
      const timer = setTimeout(() => {
        refuse(new TimeoutError('The server did not answer.'));
        socket.close();
      }, timeout);
      socket.onopen = () => {
        clearTimeout(timer);
        resolve(new Protoo(socket, timeout));
      };
      // Browsers do not tell scripts why: no server, a refusal and a wrong path look the same.
      socket.onclose = ({ code }) => refuse(new ClosedError(
        'The server cannot be reached, or refused the connection.',
        { closeCode: code, code: 'unreachable' }));
    });
  }

  /** @private Use {@link Protoo.open}. */
  constructor(socket, timeout) {
    this.#socket = socket;
    this.#timeout = timeout;
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code, reason }) => this.#end(code, reason);
  }

  /**
   * Requests go out in the order in which they are made, and no faster than the server takes them.
   *
   * @param {string} method
   * @param {object} [data]  Members that are `undefined` are not sent.
   * @returns {Promise<any>}  The response's data.
   * @throws {RequestError | TimeoutError | ClosedError}
   */
  request(method, data = {}) {
    if (this.#closed) return Promise.reject(new ClosedError('The connection is closed.'));
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      let timer;
      const settle = (error, response) => {
        clearTimeout(timer);
        this.#requests.delete(id);
        if (error) reject(error);
        else resolve(response);
      };
      this.#requests.set(id, { method, settle });
      const text = JSON.stringify({ request: true, id, method, data });
      this.#pace.run(() => {
        timer = setTimeout(() => {
          settle(new TimeoutError(`The server did not answer "${method}".`));
        }, this.#timeout);
        this.#socket.send(text);
      });
    });
  }

  /**
   * Goes out at once.
   *
   * @param {string} method
   * @param {object} [data]
   */
  notify(method, data = {}) {
    if (this.#closed) return;
    this.#pace.count();
    this.#socket.send(JSON.stringify({ notification: true, method, data }));
  }

  /** What was sent before still arrives. `onclose` is called at once. */
  close(code = FINAL_CLOSE, reason = '') {
    if (this.#closed) return;
    this.#socket.close(code, reason);
    this.#end(code, reason);
  }

  #receive(text) {
    if (this.#closed) return;
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return; // Nothing is lost that could be understood; the server has its own log.
    }
    if (message?.notification === true) {
      this.onnotification(message.method, message.data ?? {});
    } else if (message?.response === true) {
      const request = this.#requests.get(message.id);
      if (!request) return; // It came after its time was up.
      request.settle(message.ok === true
        ? null
        : new RequestError(request.method, message.errorCode, message.errorReason),
      message.data ?? {});
    }
  }

  #end(code, reason) {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.onmessage = this.#socket.onclose = null;
    this.#pace.stop();
    const error = new ClosedError('The connection to the server was closed.',
      { closeCode: code, reason });
    for (const { settle } of [...this.#requests.values()]) settle(error);
    this.onclose(code, reason);
  }
}

/**
 * How fast a server takes messages, if it says nothing else (`max-requests-per-second`): 100 a
 * second, 400 at once. We stay below.
 */
const PER_SECOND = 90;
const AT_ONCE = 300;

/** Lets tasks run in their order, some at once, then at a pace. */
class Pace {
  #left = AT_ONCE;
  #filled = Date.now();
  /** @type {(() => void)[]} */
  #waiting = [];

  /** @param {() => void} task */
  run(task) {
    this.#waiting.push(task);
    if (this.#waiting.length === 1) this.#advance();
  }

  /** Something went out without waiting. */
  count() {
    this.#left -= 1;
  }

  /** Those that still wait never run. */
  stop() {
    this.#waiting = [];
  }

  #advance() {
    const now = Date.now();
    const earned = Math.max(0, now - this.#filled) * PER_SECOND / 1000;
    this.#left = Math.min(this.#left + earned, AT_ONCE);
    this.#filled = now;
    while (this.#left >= 1 && this.#waiting.length > 0) {
      this.#left -= 1;
      this.#waiting.shift()();
    }
    if (this.#waiting.length > 0) setTimeout(() => this.#advance(), 100);
  }
}
