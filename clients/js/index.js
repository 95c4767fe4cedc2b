// A client of the admin API of Promo Sandbox, for Node 18 or later and for browsers. It needs only `fetch`.
// index.d.ts documents the public classes and methods.

export const VERSION = '0.1.0';

export class SandboxError extends Error {
  constructor(detail, { status = 0, errors = [], cause } = {}) {
    super(detail, cause === undefined ? undefined : { cause });
    this.name = 'SandboxError';
    this.detail = detail;
    this.status = status;
    this.errors = errors;
  }
}

/** A name, percent-encoded as one segment of a path. */
function pathSegment(name) {
  if (/^\.\.?$/.test(name)) throw new SandboxError(`"${name}" is not a valid name: in a URL it is a folder; choose another`);
  return encodeURIComponent(name);
}

/** The parameters that have a value as a query, with its question mark; empty if there are none. */
function queryString(parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null);
  return given.length === 0 ? '' : `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`;
}

/** The edit distance of two words. */
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

/** The options, if all their names are known. An unknown name is an error, because it may be misspelt. */
function checkOptions(method, options, names) {
  if (options === null || typeof options !== 'object') {
    throw new SandboxError(`${method} takes an object of options, such as {${names[0]}}, not ${JSON.stringify(options)}`);
  }
  for (const name of Object.keys(options)) {
    if (names.includes(name)) continue;
    const [nearest] = names.slice().sort((one, other) => distance(name, one) - distance(name, other));
    const close = distance(name, nearest) <= Math.max(1, name.length / 3);
    const suggestion = close ? `did you mean "${nearest}"?` : `use one of ${names.join(', ')}`;
    throw new SandboxError(`${method} has no "${name}"; ${suggestion}`);
  }
  return options;
}

const REQUEST_CRITERIA = ['operation', 'status', 'rejection', 'rejected', 'unmatched', 'internal_error', 'since'];
const WEBHOOK_CRITERIA = ['subscription', 'event', 'status', 'since', 'limit'];

/** A number of seconds as an ISO 8601 duration; a string stays as it is. */
const iso8601Duration = (by) => (typeof by === 'number' ? `PT${by}S` : by);

/** A `Date` as RFC 3339; a string stays as it is. */
const rfc3339 = (at) => (at instanceof Date ? at.toISOString() : at);

export class Sandbox {
  #token;
  #fetch;
  #timeout;
  #version;

  constructor(url = 'http://localhost:8080', options = {}) {
    const names = ['token', 'timeout', 'fetch'];
    const { token, timeout = 30_000, fetch = globalThis.fetch } = checkOptions('new Sandbox', options, names);
    let parsed;
    try {
      parsed = new URL(url);
    } catch {
      throw new SandboxError(`${JSON.stringify(url)} is not a URL; use a URL such as http://localhost:8080`);
    }
    if (!/^https?:$/.test(parsed.protocol)) {
      throw new SandboxError(`${url} is neither http nor https; use a URL such as http://localhost:8080`);
    }
    if (typeof fetch !== 'function') {
      throw new SandboxError('fetch is missing; use Node 18 or later, or pass one: new Sandbox(url, {fetch})');
    }
    this.url = String(url).replace(/\/+$/, '').replace(/\/__admin$/, '');
    this.#token = token;
    this.#fetch = fetch;
    this.#timeout = timeout;
  }

  org(name = `js-${globalThis.crypto.randomUUID()}`) {
    return new Org(this, name);
  }

  async version() {
    this.#version ??= this.#fetchJson('GET', '/version');
    try {
      const server = await this.#version;
      if (typeof server?.version !== 'string' || !Array.isArray(server.specs)) {
        throw new SandboxError(`${this.url} is not a Promo Sandbox: its answer to GET /__admin/version has no version`);
      }
      if (server.version === VERSION) return server;
      throw new SandboxError(
        `${this.url} has version ${server.version} and this client ${VERSION}: ` +
          `install promo-sandbox-client@${server.version}, or start a server of version ${VERSION}`,
      );
    } catch (error) {
      this.#version = undefined; // the next call asks again
      throw error;
    }
  }

  async orgs(page = {}) {
    const { limit = 1000, after } = checkOptions('orgs', page, ['limit', 'after']);
    return (await this.send('GET', `/orgs${queryString({ limit, after })}`)).orgs;
  }

  async scenarios() {
    return (await this.send('GET', '/scenarios')).scenarios;
  }

  async coverage(criteria = {}) {
    const { org, vendor } = checkOptions('coverage', criteria, ['org', 'vendor']);
    return this.send('GET', `/coverage${queryString({ org, vendor })}`);
  }

  async send(method, path, body, extraTimeout = 0) {
    await this.version();
    return this.#fetchJson(method, path, body, extraTimeout);
  }

  async #fetchJson(method, path, body, extraTimeout = 0) {
    const headers = {};
    if (this.#token) headers.Authorization = `Bearer ${this.#token}`;
    if (body !== undefined) headers['Content-Type'] = typeof body === 'string' ? 'application/yaml' : 'application/json';
    const content = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
    let response;
    let text;
    try {
      const signal = AbortSignal.timeout(this.#timeout + extraTimeout);
      response = await this.#fetch.call(globalThis, `${this.url}/__admin${path}`, { method, headers, body: content, signal });
      text = await response.text();
    } catch (error) {
      throw this.#unreachable(error);
    }
    return this.#parse(response, text, `${method} /__admin${path.split('?', 1)[0]}`);
  }

  #unreachable(error) {
    const reason =
      error?.name === 'TimeoutError'
        ? `no answer within ${this.#timeout} ms`
        : error?.cause?.code ?? error?.cause?.message ?? error?.message ?? String(error);
    return new SandboxError(`${this.url} does not answer (${reason}); is the sandbox running there?`, { cause: error });
  }

  #parse(response, text, call) {
    if (response.ok && text === '') return undefined;
    let json;
    try {
      json = JSON.parse(text);
    } catch {
      json = undefined;
    }
    if (response.ok && json !== undefined) return json;
    if (typeof json?.detail !== 'string') {
      throw new SandboxError(`${this.url} is not a Promo Sandbox: it answered ${response.status} to ${call}`, {
        status: response.status,
      });
    }
    const hint = response.status === 401 ? ' (new Sandbox(url, {token}))' : '';
    throw new SandboxError(`${json.detail}${hint}`, { status: response.status, errors: json.errors ?? [] });
  }
}

export class Org {
  #sandbox;

  constructor(sandbox, name) {
    if (typeof name !== 'string' || name === '') throw new SandboxError('an org needs a name, such as sandbox.org("t1")');
    this.#sandbox = sandbox;
    this.name = name;
    this.clock = new Clock((method, path, body) => this.#send(method, `/clock${path}`, body));
    this.webhooks = new Webhooks((method, path, body, extra) => this.#send(method, `/webhooks${path}`, body, extra));
    this.snapshots = new Snapshots((method, path, body) => this.#send(method, `/snapshots${path}`, body));
  }

  #send(method, path = '', body = undefined, extraTimeout = 0) {
    return this.#sandbox.send(method, `/orgs/${pathSegment(this.name)}${path}`, body, extraTimeout);
  }

  async url(vendor, api) {
    const { specs } = await this.#sandbox.version();
    const named = specs.map(({ name, base }) => [...name.replace(/\.yaml$/, '').split('/'), base]);
    const apis = new Map(named.filter(([owner]) => owner === vendor).map(([, file, base]) => [file, base]));
    if (apis.size === 0) {
      const vendors = [...new Set(named.map(([owner]) => owner))].join(', ');
      throw new SandboxError(`there is no vendor ${vendor}; use one of ${vendors}`);
    }
    if (api !== undefined && !apis.has(api)) {
      throw new SandboxError(`${vendor} has no API ${api}; use one of ${[...apis.keys()].join(', ')}`);
    }
    return `${this.#sandbox.url}/~${pathSegment(this.name)}${apis.get(api) ?? ''}`;
  }

  async token(vendor, options = {}) {
    const names = ['tenant', 'customer', 'scopes', 'claims', 'expiresIn'];
    const { tenant, customer, scopes, claims, expiresIn } = checkOptions('token', options, names);
    const body = { vendor, tenant, customer, scopes, claims, expires_in: expiresIn };
    return (await this.#send('POST', '/tokens', body)).access_token;
  }

  async about() {
    return this.#send('GET');
  }

  async seed(documents) {
    return this.#send('POST', '/seed', documents);
  }

  async state() {
    return this.#send('GET', '/state');
  }

  async putState(state) {
    return this.#send('PUT', '/state', state);
  }

  async reset() {
    await this.#send('POST', '/reset');
  }

  async forget() {
    try {
      await this.#send('DELETE');
    } catch (error) {
      if (error.status !== 404) throw error;
    }
  }

  async scenario(scenario) {
    const named = typeof scenario === 'string' && !/[\n:]/.test(scenario);
    return this.#send('PUT', '/scenario', named ? { name: scenario } : scenario);
  }

  async scenarioProgress() {
    return this.#send('GET', '/scenario');
  }

  async endScenario() {
    await this.#send('DELETE', '/scenario');
  }

  async next(operation, then, options = {}) {
    const { times = 1 } = checkOptions('next', options, ['times']);
    return (await this.#send('POST', '/next', { operation, then, times })).armed;
  }

  async armed() {
    return (await this.#send('GET', '/next')).armed;
  }

  async disarm() {
    await this.#send('DELETE', '/next');
  }

  async requests(criteria = {}) {
    checkOptions('requests', criteria, [...REQUEST_CRITERIA, 'limit']);
    return (await this.#send('GET', `/requests${queryString(criteria)}`)).requests;
  }

  async request(id) {
    return this.#send('GET', `/requests/${pathSegment(String(id))}`);
  }

  async count(criteria = {}) {
    checkOptions('count', criteria, [...REQUEST_CRITERIA, 'body']);
    return (await this.#send('POST', '/requests/count', criteria)).count;
  }

  async clearRequests() {
    await this.#send('DELETE', '/requests');
  }

  async events(name) {
    return (await this.#send('GET', `/events${queryString({ name })}`)).events;
  }

  async export() {
    return this.#send('GET', '/export');
  }

  async import(document) {
    return this.#send('POST', '/import', document);
  }

  async coverage(criteria = {}) {
    const { vendor } = checkOptions('coverage', criteria, ['vendor']);
    return this.#sandbox.coverage({ org: this.name, vendor });
  }
}

class Clock {
  #send;

  constructor(send) {
    this.#send = send;
  }

  async now() {
    return new Date((await this.#send('GET', '')).now);
  }

  async set(now) {
    return this.#send('PUT', '', { now: rfc3339(now) });
  }

  async freeze(now) {
    return this.#send('PUT', '', { now: rfc3339(now), frozen: true });
  }

  async run() {
    return this.#send('PUT', '', { frozen: false });
  }

  async advance(by) {
    const to = by instanceof Date ? by : by?.to;
    return (await this.#send('POST', '/advance', to === undefined ? { by: iso8601Duration(by) } : { to: rfc3339(to) })).happened;
  }
}

class Snapshots {
  #send;

  constructor(send) {
    this.#send = send;
  }

  async list() {
    return (await this.#send('GET', '')).snapshots;
  }

  async take(name) {
    return this.#send('PUT', `/${pathSegment(name)}`);
  }

  async restore(name) {
    return this.#send('POST', `/${pathSegment(name)}/restore`);
  }

  async drop(name) {
    await this.#send('DELETE', `/${pathSegment(name)}`);
  }
}

class Webhooks {
  #send;

  constructor(send) {
    this.#send = send;
  }

  async list(criteria = {}) {
    checkOptions('webhooks.list', criteria, WEBHOOK_CRITERIA);
    return (await this.#send('GET', queryString(criteria))).webhooks;
  }

  async wait(criteria = {}) {
    checkOptions('webhooks.wait', criteria, ['count', 'timeout', ...WEBHOOK_CRITERIA]);
    const { count = 1, timeout = 5, limit = Math.max(count, 100), ...others } = criteria;
    const query = queryString({ limit, ...others, count, wait: `${timeout}s` });
    const extraTimeout = Math.min(Math.max(Math.ceil(timeout * 1000), 0), 60_000) || 0; // the server rejects other values
    const { webhooks } = await this.#send('GET', query, undefined, extraTimeout);
    if (webhooks.length < count) {
      const found = webhooks.map(({ event, status }) => `${event} (${status})`).join(', ');
      const expected = count === 1 ? '1 webhook' : `${count} webhooks`;
      throw new SandboxError(
        `expected ${expected} within ${timeout} s; found ${webhooks.length === 0 ? 'none' : `${webhooks.length}: ${found}`}`,
      );
    }
    return webhooks;
  }

  async flush() {
    return this.#send('POST', '/flush');
  }

  async redeliver(id) {
    return this.#send('POST', `/${pathSegment(String(id))}/redeliver`);
  }

  async rewrites() {
    return rewritesObject(await this.#send('GET', '/rewrites'));
  }

  async rewrite(rewrites) {
    const body = { rewrites: Object.entries(rewrites).map(([from, to]) => ({ from, to })) };
    return rewritesObject(await this.#send('PUT', '/rewrites', body));
  }
}

/** Rewrites as `{from: to}`. */
const rewritesObject = ({ rewrites }) => Object.fromEntries(rewrites.map(({ from, to }) => [from, to]));
