// A client of a Promo Sandbox's /__admin, for Node 18 and later and for browsers. It needs nothing but `fetch`.

/** Of this client, and of the servers that it can ask. */
export const VERSION = '0.1.0';

/** What the server refuses, or why it could not be asked. */
export class SandboxError extends Error {
  /**
   * @param {string} detail
   * @param {{status?: number, errors?: object[], cause?: unknown}} [more]
   */
  constructor(detail, { status = 0, errors = [], cause } = {}) {
    super(detail, cause === undefined ? undefined : { cause });
    this.name = 'SandboxError';
    this.detail = detail;
    this.status = status;
    this.errors = errors;
  }
}

/** A name as a segment of a path. */
function segment(name) {
  if (/^\.\.?$/.test(name)) throw new SandboxError(`"${name}" can be no name here: in a URL it is a folder`);
  return encodeURIComponent(name);
}

/** `?a=1&b=2` of what is given, or nothing. */
function query(criteria) {
  const given = Object.entries(criteria).filter(([, value]) => value !== undefined && value !== null);
  return given.length === 0 ? '' : `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`;
}

/** How many letters must change for one word to be another. */
function distance(one, other) {
  let row = Array.from({ length: other.length + 1 }, (_, at) => at);
  for (let i = 1; i <= one.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= other.length; j += 1) {
      next.push(Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (one[i - 1] === other[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[other.length];
}

/** What was given, if there are options of these names; silence would hide a slip of the pen. */
function known(verb, given, names) {
  if (given === null || typeof given !== 'object') {
    throw new SandboxError(`${verb} takes an object of options, such as {${names[0]}}, not ${JSON.stringify(given)}`);
  }
  for (const name of Object.keys(given)) {
    if (names.includes(name)) continue;
    const [nearest] = names.slice().sort((one, other) => distance(name, one) - distance(name, other));
    const close = distance(name, nearest) <= Math.max(1, name.length / 3);
    throw new SandboxError(`${verb} has no "${name}"; ${close ? `did you mean "${nearest}"?` : `there are ${names.join(', ')}`}`);
  }
  return given;
}

const CRITERIA = ['operation', 'status', 'rejection', 'rejected', 'unmatched', 'internal_error', 'since'];
const WEBHOOK_CRITERIA = ['subscription', 'event', 'status', 'since', 'limit'];

/** A number of seconds as a duration of ISO 8601; a text as it is. */
const duration = (by) => (typeof by === 'number' ? `PT${by}S` : by);

/** A `Date` as RFC 3339; a text as it is. */
const moment = (at) => (at instanceof Date ? at.toISOString() : at);

/** A running server. */
export class Sandbox {
  #token;
  #fetch;
  #timeout;
  #version;

  constructor(url = 'http://localhost:8080', options = {}) {
    const names = ['token', 'timeout', 'fetch'];
    const { token, timeout = 30_000, fetch = globalThis.fetch } = known('new Sandbox', options, names);
    let parsed;
    try {
      parsed = new URL(url);
    } catch {
      throw new SandboxError(`${JSON.stringify(url)} is no URL; a sandbox is at one like http://localhost:8080`);
    }
    if (!/^https?:$/.test(parsed.protocol)) {
      throw new SandboxError(`${url} is neither http nor https; a sandbox is at a URL like http://localhost:8080`);
    }
    if (typeof fetch !== 'function') {
      throw new SandboxError('there is no fetch here; use Node 18 or later, or give one: new Sandbox(url, {fetch})');
    }
    this.url = String(url).replace(/\/+$/, '').replace(/\/__admin$/, '');
    this.#token = token;
    this.#fetch = fetch;
    this.#timeout = timeout;
  }

  /** The org of this name; a new name is a new world. */
  org(name = `js-${globalThis.crypto.randomUUID()}`) {
    return new Org(this, name);
  }

  /** The server's version and its specs. Asked once, before anything else; throws if the server is of another version. */
  async version() {
    this.#version ??= this.#read('GET', '/version');
    try {
      const said = await this.#version;
      if (typeof said?.version !== 'string' || !Array.isArray(said.specs)) {
        throw new SandboxError(`${this.url} is no Promo Sandbox: it answered nothing of the kind to GET /__admin/version`);
      }
      if (said.version === VERSION) return said;
      throw new SandboxError(
        `${this.url} is Promo Sandbox ${said.version} and this client ${VERSION}: ` +
          `install promo-sandbox-client@${said.version}, or start a server of ${VERSION}`,
      );
    } catch (error) {
      this.#version = undefined; // the next call asks again
      throw error;
    }
  }

  /** The orgs by name, those after a name. */
  async orgs(page = {}) {
    const { limit = 1000, after } = known('orgs', page, ['limit', 'after']);
    return (await this.ask('GET', `/orgs${query({ limit, after })}`)).orgs;
  }

  /** The scenarios that have names. */
  async scenarios() {
    return (await this.ask('GET', '/scenarios')).scenarios;
  }

  /** What of the contracts the clients of all orgs have met, or those of one. */
  async coverage(criteria = {}) {
    const { org, vendor } = known('coverage', criteria, ['org', 'vendor']);
    return this.ask('GET', `/coverage${query({ org, vendor })}`);
  }

  /**
   * One call of /__admin: what it answers, undefined where that is nothing. Throws a `SandboxError`. `held`: for how many
   * milliseconds the server was asked to hold its answer back; they are granted besides.
   */
  async ask(method, path, body, held = 0) {
    await this.version();
    return this.#read(method, path, body, held);
  }

  async #read(method, path, body, held = 0) {
    const headers = {};
    if (this.#token) headers.Authorization = `Bearer ${this.#token}`;
    if (body !== undefined) headers['Content-Type'] = typeof body === 'string' ? 'application/yaml' : 'application/json';
    const sent = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
    let response;
    let text;
    try {
      const signal = AbortSignal.timeout(this.#timeout + held);
      response = await this.#fetch.call(globalThis, `${this.url}/__admin${path}`, { method, headers, body: sent, signal });
      text = await response.text();
    } catch (error) {
      throw this.#unreachable(error);
    }
    return this.#said(response, text, `${method} /__admin${path.split('?', 1)[0]}`);
  }

  #unreachable(error) {
    const reason =
      error?.name === 'TimeoutError'
        ? `no answer within ${this.#timeout} ms`
        : error?.cause?.code ?? error?.cause?.message ?? error?.message ?? String(error);
    return new SandboxError(`${this.url} does not answer (${reason}); is the sandbox running there?`, { cause: error });
  }

  #said(response, text, asked) {
    if (response.ok && text === '') return undefined;
    let said;
    try {
      said = JSON.parse(text);
    } catch {
      said = undefined;
    }
    if (response.ok && said !== undefined) return said;
    if (typeof said?.detail !== 'string') {
      throw new SandboxError(`${this.url} is no Promo Sandbox: it answered ${response.status} to ${asked}`, {
        status: response.status,
      });
    }
    const hint = response.status === 401 ? ' (new Sandbox(url, {token}))' : '';
    throw new SandboxError(`${said.detail}${hint}`, { status: response.status, errors: said.errors ?? [] });
  }
}

/** One world of a server: its time, its documents, its journal. */
export class Org {
  #sandbox;

  constructor(sandbox, name) {
    if (typeof name !== 'string' || name === '') throw new SandboxError('an org has a name: sandbox.org("t1")');
    this.#sandbox = sandbox;
    this.name = name;
    this.clock = new Clock((method, path, body) => this.#ask(method, `/clock${path}`, body));
    this.webhooks = new Webhooks((method, path, body, held) => this.#ask(method, `/webhooks${path}`, body, held));
    this.snapshots = new Snapshots((method, path, body) => this.#ask(method, `/snapshots${path}`, body));
  }

  #ask(method, path = '', body = undefined, held = 0) {
    return this.#sandbox.ask(method, `/orgs/${segment(this.name)}${path}`, body, held);
  }

  /**
   * What stands in for scheme and host of a vendor in this org, whatever tenant the client names; with `api`, the name of
   * one of the vendor's specs, the base URL of that one, its path included.
   */
  async url(vendor, api) {
    const { specs } = await this.#sandbox.version();
    const named = specs.map(({ name, base }) => [...name.replace(/\.yaml$/, '').split('/'), base]);
    const apis = new Map(named.filter(([owner]) => owner === vendor).map(([, file, base]) => [file, base]));
    if (apis.size === 0) {
      const vendors = [...new Set(named.map(([owner]) => owner))].join(', ');
      throw new SandboxError(`there is no vendor ${vendor}; there are ${vendors}`);
    }
    if (api !== undefined && !apis.has(api)) {
      throw new SandboxError(`${vendor} has no API ${api}; there are ${[...apis.keys()].join(', ')}`);
    }
    return `${this.#sandbox.url}/~${segment(this.name)}${apis.get(api) ?? ''}`;
  }

  /** A bearer token of a vendor, held to exactly what is said here. */
  async token(vendor, options = {}) {
    const names = ['tenant', 'customer', 'scopes', 'claims', 'expiresIn'];
    const { tenant, customer, scopes, claims, expiresIn } = known('token', options, names);
    const asked = { vendor, tenant, customer, scopes, claims, expires_in: expiresIn };
    return (await this.#ask('POST', '/tokens', asked)).access_token;
  }

  /** The name, the time, how many documents and requests it keeps, and how much went another way than a test would want. */
  async info() {
    return this.#ask('GET');
  }

  /** Store objects, `{vendor: {collection: [object]}}`, as if they had always been there: as they were stored. */
  async seed(documents) {
    return this.#ask('POST', '/seed', documents);
  }

  /** All that is stored, as `putState` takes it. */
  async state() {
    return this.#ask('GET', '/state');
  }

  /** Put a whole state in place of the present one. */
  async putState(state) {
    return this.#ask('PUT', '/state', state);
  }

  /** As on first use. */
  async reset() {
    await this.#ask('POST', '/reset');
  }

  /** As if it had never been; that it never was is no error. */
  async forget() {
    try {
      await this.#ask('DELETE');
    } catch (error) {
      if (error.status !== 404) throw error;
    }
  }

  /** Reset the org and have it follow a scenario: the name of one, a document, or the text of one in YAML. */
  async scenario(scenario) {
    const named = typeof scenario === 'string' && !/[\n:]/.test(scenario);
    return this.#ask('PUT', '/scenario', named ? { name: scenario } : scenario);
  }

  /** How far the org has come in its scenario. */
  async progress() {
    return this.#ask('GET', '/scenario');
  }

  /** Follow no scenario any more; all else stays. */
  async endScenario() {
    await this.#ask('DELETE', '/scenario');
  }

  /** Have the next calls of an operation meet something, as `{reject: name}` or `{cut: 'after'}`: all that is armed. */
  async next(operation, then, options = {}) {
    const { times = 1 } = known('next', options, ['times']);
    return (await this.#ask('POST', '/next', { operation, then, times })).armed;
  }

  /** What is armed and was not met yet. */
  async armed() {
    return (await this.#ask('GET', '/next')).armed;
  }

  /** Take back all that is armed. */
  async disarm() {
    await this.#ask('DELETE', '/next');
  }

  /** The newest exchanges of the journal that meet the criteria, newest first. */
  async requests(criteria = {}) {
    known('requests', criteria, [...CRITERIA, 'limit']);
    return (await this.#ask('GET', `/requests${query(criteria)}`)).requests;
  }

  /** One exchange: what the reply's header `Sandbox-Exchange` said. */
  async request(id) {
    return this.#ask('GET', `/requests/${segment(String(id))}`);
  }

  /** How many of the exchanges kept meet all the criteria. */
  async count(criteria = {}) {
    known('count', criteria, [...CRITERIA, 'body']);
    return (await this.#ask('POST', '/requests/count', criteria)).count;
  }

  /** Forget what was asked; ids go on. */
  async clearRequests() {
    await this.#ask('DELETE', '/requests');
  }

  /** What subscribers were to be told, oldest first. */
  async events(name) {
    return (await this.#ask('GET', `/events${query({ name })}`)).events;
  }

  /** The org as one document, for `import`. */
  async export() {
    return this.#ask('GET', '/export');
  }

  /** Put an exported org in place of this one. */
  async import(document) {
    return this.#ask('POST', '/import', document);
  }

  /** What of the contracts this org has met. */
  async coverage(criteria = {}) {
    const { vendor } = known('coverage', criteria, ['vendor']);
    return this.#sandbox.coverage({ org: this.name, vendor });
  }
}

/** An org's time. */
class Clock {
  #ask;

  constructor(ask) {
    this.#ask = ask;
  }

  /** What time it is. */
  async now() {
    return new Date((await this.#ask('GET', '')).now);
  }

  /** Set it; whether it stands still stays as it is. */
  async set(now) {
    return this.#ask('PUT', '', { now: moment(now) });
  }

  /** Have it stand still, at a moment or where it is. */
  async freeze(now) {
    return this.#ask('PUT', '', { now: moment(now), frozen: true });
  }

  /** Have it go on from where it is. */
  async run() {
    return this.#ask('PUT', '', { frozen: false });
  }

  /** Let time pass, by seconds or a duration of ISO 8601, or to a moment: what happened in it. */
  async advance(by) {
    const to = by instanceof Date ? by : by?.to;
    return (await this.#ask('POST', '/advance', to === undefined ? { by: duration(by) } : { to: moment(to) })).happened;
  }
}

/** What was named to go back to. */
class Snapshots {
  #ask;

  constructor(ask) {
    this.#ask = ask;
  }

  /** Oldest first. */
  async list() {
    return (await this.#ask('GET', '')).snapshots;
  }

  /** Name the present. */
  async take(name) {
    return this.#ask('PUT', `/${segment(name)}`);
  }

  /** Go back. */
  async restore(name) {
    return this.#ask('POST', `/${segment(name)}/restore`);
  }

  async drop(name) {
    await this.#ask('DELETE', `/${segment(name)}`);
  }
}

/** What was sent to subscribers, or would have been. */
class Webhooks {
  #ask;

  constructor(ask) {
    this.#ask = ask;
  }

  /** What subscribers were sent or are to be sent, oldest first, by criteria that must all hold. */
  async list(criteria = {}) {
    known('webhooks.list', criteria, WEBHOOK_CRITERIA);
    return (await this.#ask('GET', query(criteria))).webhooks;
  }

  /** The same, as soon as there are `count` of them. Throws if there are fewer within `timeout` seconds. */
  async wait(criteria = {}) {
    known('webhooks.wait', criteria, ['count', 'timeout', ...WEBHOOK_CRITERIA]);
    const { count = 1, timeout = 5, limit = Math.max(count, 100), ...others } = criteria;
    const asked = query({ limit, ...others, count, wait: `${timeout}s` });
    const held = Math.min(Math.max(Math.ceil(timeout * 1000), 0), 60_000) || 0; // the server judges what is none
    const { webhooks } = await this.#ask('GET', asked, undefined, held);
    if (webhooks.length < count) {
      const seen = webhooks.map(({ event, status }) => `${event} (${status})`).join(', ') || 'none';
      const awaited = count === 1 ? '1 webhook was' : `${count} webhooks were`;
      throw new SandboxError(`${awaited} awaited and ${webhooks.length} came within ${timeout} s: ${seen}`);
    }
    return webhooks;
  }

  /** Attempt now what waits: how many were attempted, delivered, and wait still. */
  async flush() {
    return this.#ask('POST', '/flush');
  }

  /** Send one again: the new one. */
  async redeliver(id) {
    return this.#ask('POST', `/${segment(String(id))}/redeliver`);
  }

  /** Which beginnings of callback URLs are called elsewhere, `{from: to}`. */
  async rewrites() {
    return pairs(await this.#ask('GET', '/rewrites'));
  }

  /** Have callbacks that begin with a URL call another one, `{from: to}`; these are then all there are. */
  async rewrite(rewrites) {
    return pairs(await this.#ask('PUT', '/rewrites', { rewrites: Object.entries(rewrites).map(([from, to]) => ({ from, to })) }));
  }
}

const pairs = ({ rewrites }) => Object.fromEntries(rewrites.map(({ from, to }) => [from, to]));
