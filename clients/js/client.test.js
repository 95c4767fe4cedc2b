// Tests of the client against a real server (SANDBOX_URL). For faults, they start small servers of their own.
// `node --test clients/js` runs them; tests/clients/test_javascript.py starts the server.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { test } from 'node:test';

import { Sandbox, SandboxError, VERSION } from 'promo-sandbox-client';

const url = process.env.SANDBOX_URL ?? 'http://localhost:8080';
const sandbox = new Sandbox(url);
const CARD = { id: 'gc-1', name: 'Till', current_balance: { unit: 'EUR', value: 10 }, expiration_date_and_time: '2030-06-01T00:00:00Z' };
const CARDS = '/org/acme/sales-vouchers/gift-cards';

/** An org with one gift card and a frozen clock. */
async function orgWithCard() {
  const org = sandbox.org();
  await org.clock.freeze(new Date('2030-01-01T00:00:00Z'));
  await org.seed({ enfore: { gift_cards: [CARD] } });
  return org;
}

/** Reads the card, as the client under test would. */
async function readCard(org, id = 'gc-1') {
  const headers = { Authorization: `Bearer ${await org.token('enfore')}` };
  return fetch(`${await org.url('enfore', 'promotions')}${CARDS}/${id}`, { headers });
}

/** A server with a valid /__admin/version. It answers other requests with `answer(request, body)`. */
async function fakeServer(t, answer, version = VERSION) {
  const requests = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (piece) => (body += piece));
    request.on('end', () => {
      const isVersion = request.url === '/__admin/version';
      if (!isVersion) requests.push([request.method, request.url, body && JSON.parse(body)]);
      const reply = isVersion ? { version, specs: [] } : answer(request, body);
      if (reply === undefined) return; // the client waits in vain
      response.end(typeof reply === 'string' ? reply : JSON.stringify(reply));
    });
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${server.address().port}`, requests };
}

const sandboxError = (message, status) => (error) => {
  assert.ok(error instanceof SandboxError, String(error));
  assert.match(error.detail, message);
  assert.equal(error.message, error.detail);
  if (status !== undefined) assert.equal(error.status, status);
  return true;
};

test('an org has a base URL for each vendor, and for each of its APIs', async () => {
  const org = sandbox.org('a b');

  assert.equal(await org.url('enfore'), `${url}/~a%20b`);
  assert.equal(await org.url('enfore', 'promotions'), `${url}/~a%20b/promotions`);
  await assert.rejects(org.url('enfor'), sandboxError(/no vendor enfor; use one of emporix, enfore, norce/));
  await assert.rejects(org.url('enfore', 'x'), sandboxError(/enfore has no API x; use one of .*promotions/));
});

test('a seeded card is readable with a token', async () => {
  const org = await orgWithCard();

  const response = await readCard(org);

  assert.equal(response.status, 200);
  assert.equal((await response.json()).name, 'Till');
  assert.equal((await org.state()).documents.enfore.gift_cards.length, 1);
  assert.equal((await org.about()).documents, 1);
  assert.ok((await sandbox.orgs()).some(({ name }) => name === org.name));
});

test('a clock is frozen, advanced and run', async () => {
  const org = await orgWithCard();

  assert.equal((await org.clock.now()).toISOString(), '2030-01-01T00:00:00.000Z');
  assert.deepEqual(await org.clock.advance(90), []);
  assert.equal((await org.clock.now()).toISOString(), '2030-01-01T00:01:30.000Z');
  const happened = await org.clock.advance('P1Y');
  assert.deepEqual(happened.map(({ event, id }) => [event, id]), [['expire-gift-card', 'gc-1']]);
  await org.clock.advance({ to: '2032-01-01T00:00:00Z' });
  await org.clock.advance(new Date('2033-01-01T00:00:00Z'));
  assert.equal((await org.clock.set('2034-01-01T00:00:00Z')).frozen, true);
  assert.equal((await org.clock.run()).frozen, false);
  await assert.rejects(org.clock.advance('soon'), sandboxError(/does not match|by/, 400));
});

test('an armed effect applies to the next calls of an operation', async () => {
  const org = await orgWithCard();

  assert.deepEqual(await org.next('getGiftCard', { reject: 'unknown-gift-card' }, { times: 2 }), [
    { operation: 'getGiftCard', then: { reject: 'unknown-gift-card' }, times: 2 },
  ]);
  assert.equal((await readCard(org)).status, 404);
  assert.equal((await org.armed())[0].times, 1);
  await org.disarm();
  assert.equal((await readCard(org)).status, 200);
  await assert.rejects(org.next('getGiftcard', { cut: 'after' }), sandboxError(/did you mean getGiftCard/, 400));
});

test('recorded requests are filtered by criteria', async () => {
  const org = await orgWithCard();
  const exchange = (await readCard(org, 'none')).headers.get('sandbox-exchange');
  await readCard(org);

  assert.equal((await org.requests()).length, 2);
  assert.deepEqual((await org.requests({ rejected: true })).map(({ id }) => String(id)), [exchange]);
  assert.equal((await org.request(exchange)).rejection, 'unknown-gift-card');
  assert.equal(await org.count({ operation: 'getGiftCard', status: 200 }), 1);
  assert.deepEqual(await org.events('product-voucher-changed'), []);
  await org.clearRequests();
  assert.equal(await org.count(), 0);
  await assert.rejects(org.request(7), sandboxError(/no exchange 7/, 404));
});

test('a scenario is started by its name, as a document and as YAML', async () => {
  const org = sandbox.org();
  const [{ name }] = await sandbox.scenarios();

  assert.equal((await org.scenario(name)).name, name);
  assert.equal((await org.scenario({ steps: [{ operation: 'getGiftCard', then: { cut: 'after' } }] })).unmet.length, 1);
  assert.equal((await org.scenario('steps:\n  - operation: getGiftCard\n    then: {cut: after}\n')).current, 1);
  await assert.rejects(readCard(org), TypeError); // the scenario drops the connection
  assert.deepEqual((await org.scenarioProgress()).unmet, []);
  await org.endScenario();
  await assert.rejects(org.scenarioProgress(), sandboxError(/has no scenario/, 404));
  await assert.rejects(org.scenario('enfore/lost-replay'), sandboxError(/no scenario enfore\/lost-replay/, 400));
});

test('a rejected document names each mistake and its place', async () => {
  const wrong = { steps: [{ operation: 'getGiftcard' }] };

  await assert.rejects(sandbox.org().scenario(wrong), (error) => {
    assert.deepEqual(error.errors.map(({ pointer }) => pointer), ['/steps/0/operation']);
    return sandboxError(/did you mean getGiftCard/, 400)(error);
  });
});

test('an org is saved, restored, reset, exported, imported and deleted', async () => {
  const org = await orgWithCard();
  const moved = sandbox.org();

  await org.snapshots.take('before/after');
  await org.reset();
  assert.equal((await readCard(org)).status, 404);
  await org.snapshots.take('after/it');
  assert.deepEqual((await org.snapshots.list()).map(({ name }) => name), ['after/it']);
  await assert.rejects(org.snapshots.drop('..'), sandboxError(/"\.\." is not a valid name/));
  await moved.import(await (await orgWithCard()).export());
  assert.equal((await readCard(moved)).status, 200);
  await moved.snapshots.take('now');
  const state = await moved.state();
  await moved.putState({ documents: {} });
  assert.equal((await readCard(moved)).status, 404);
  await moved.snapshots.restore('now');
  assert.equal((await readCard(moved)).status, 200);
  await moved.snapshots.drop('now');
  await moved.putState(state);
  await org.forget();
  await org.forget();
  await assert.rejects(org.about(), sandboxError(/There is no org/, 404));
});

test('coverage counts the operations that the clients of an org have called', async () => {
  const org = await orgWithCard();
  await readCard(org);

  const { totals, vendors } = await org.coverage({ vendor: 'enfore' });

  assert.equal(totals.operations.covered, 1);
  assert.deepEqual(vendors.map(({ vendor }) => vendor), ['enfore']);
});

test('webhooks are listed, awaited, flushed, redelivered and rewritten', async (t) => {
  const webhook = { id: 1, event: 'gift-card-changed', status: 'delivered' };
  const answers = {
    GET: ({ url }) => (url.includes('rewrites') ? { rewrites: [{ from: 'a', to: 'b' }] } : { total: 1, webhooks: [webhook] }),
    POST: ({ url }) => (url.endsWith('flush') ? { attempted: 1, delivered: 1, waiting: 0 } : webhook),
    PUT: (_, body) => JSON.parse(body),
  };
  const server = await fakeServer(t, (request, body) => answers[request.method](request, body));
  const { webhooks } = new Sandbox(server.url).org('t/1');

  assert.deepEqual(await webhooks.list({ event: 'gift-card-changed', status: undefined }), [webhook]);
  assert.deepEqual(await webhooks.wait({ since: 0, timeout: 0.5 }), [webhook]);
  await assert.rejects(webhooks.wait({ count: 2 }), sandboxError(/expected 2 webhooks within 5 s; found 1: gift-card-changed \(delivered\)/));
  assert.equal((await webhooks.flush()).delivered, 1);
  assert.deepEqual(await webhooks.redeliver(1), webhook);
  assert.deepEqual(await webhooks.rewrites(), { a: 'b' });
  assert.deepEqual(await webhooks.rewrite({ 'https://a/': 'http://b/' }), { 'https://a/': 'http://b/' });
  assert.deepEqual(server.requests, [
    ['GET', '/__admin/orgs/t%2F1/webhooks?event=gift-card-changed', ''],
    ['GET', '/__admin/orgs/t%2F1/webhooks?limit=100&since=0&count=1&wait=0.5s', ''],
    ['GET', '/__admin/orgs/t%2F1/webhooks?limit=100&count=2&wait=5s', ''],
    ['POST', '/__admin/orgs/t%2F1/webhooks/flush', ''],
    ['POST', '/__admin/orgs/t%2F1/webhooks/1/redeliver', ''],
    ['GET', '/__admin/orgs/t%2F1/webhooks/rewrites', ''],
    ['PUT', '/__admin/orgs/t%2F1/webhooks/rewrites', { rewrites: [{ from: 'https://a/', to: 'http://b/' }] }],
  ]);
});

test('an unknown option is an error that names the nearest one, and no request is sent', async () => {
  const org = new Sandbox('http://127.0.0.1:9').org('t1');

  assert.throws(() => new Sandbox('http://127.0.0.1:9', { tokn: 'x' }), sandboxError(/^new Sandbox has no "tokn"; did you mean "token"\?$/));
  await assert.rejects(org.webhooks.wait({ timeot: 1 }), sandboxError(/^webhooks\.wait has no "timeot"; did you mean "timeout"\?$/));
  await assert.rejects(org.webhooks.wait({ seconds: 1 }), sandboxError(/has no "seconds"; use one of count, timeout, subscription, event/));
  await assert.rejects(org.webhooks.list({ stauts: 'dead' }), sandboxError(/webhooks\.list has no "stauts"; did you mean "status"\?/));
  await assert.rejects(org.requests({ operaton: 'getGiftCard' }), sandboxError(/requests has no "operaton"; did you mean "operation"\?/));
  await assert.rejects(org.count({ unmached: true }), sandboxError(/count has no "unmached"; did you mean "unmatched"\?/));
  await assert.rejects(org.next('getGiftCard', { cut: 'after' }, { time: 2 }), sandboxError(/next has no "time"; did you mean "times"\?/));
  await assert.rejects(org.next('getGiftCard', { cut: 'after' }, 2), sandboxError(/next takes an object of options, such as \{times\}, not 2/));
  await assert.rejects(org.token('enfore', { expires_in: 2 }), sandboxError(/token has no "expires_in"; did you mean "expiresIn"\?/));
});

test('the error for one missing webhook uses the singular', async (t) => {
  const server = await fakeServer(t, () => ({ webhooks: [] }));

  const webhooks = new Sandbox(server.url).org('t1').webhooks.wait({ timeout: 0.1 });

  await assert.rejects(webhooks, sandboxError(/^expected 1 webhook within 0\.1 s; found none$/));
});

test('the timeout of webhooks.wait comes on top of the timeout of a call', async () => {
  const org = new Sandbox(url).org();
  await org.reset();

  for (const wrong of [61, -1, Infinity, 'soon']) {
    await assert.rejects(org.webhooks.wait({ timeout: wrong }), sandboxError(/wait/, 400));
  }
  for (let seconds = 1; ; seconds *= 4) { // a busy machine may take a second for a reply
    const impatient = new Sandbox(url, { timeout: 1000 * seconds }).org(org.name);
    try {
      const message = new RegExp(`^expected 1 webhook within ${seconds}\\.1 s; found none$`);
      await assert.rejects(impatient.webhooks.wait({ timeout: seconds + 0.1 }), sandboxError(message));
      break;
    } catch (error) {
      if (seconds > 10) throw error;
    }
  }
});

test('a server without a valid version is not a sandbox', async (t) => {
  for (const version of ['', 'null', '[]', '{}', '{"version":"0.1.0"}']) {
    const server = createServer((_, response) => response.end(version));
    await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
    t.after(() => server.close());

    await assert.rejects(new Sandbox(`http://127.0.0.1:${server.address().port}`).orgs(), sandboxError(/is not a Promo Sandbox: its answer/, 0));
  }
});

test('a server that is absent, no sandbox, of another version or silent is an error of one sentence', async (t) => {
  const other = await fakeServer(t, () => ({}), '9.9.9');
  const silent = await fakeServer(t, () => undefined);
  const page = await fakeServer(t, () => '<html>');

  await assert.rejects(new Sandbox('http://127.0.0.1:9').orgs(), sandboxError(/127\.0\.0\.1:9 does not answer \(.*\); is the sandbox running there\?/, 0));
  await assert.rejects(new Sandbox(page.url).orgs(), sandboxError(/is not a Promo Sandbox: it answered 200 to GET \/__admin\/orgs$/));
  await assert.rejects(new Sandbox(other.url).orgs(), sandboxError(/has version 9\.9\.9 and this client .*: install promo-sandbox-client@9\.9\.9/));
  await assert.rejects(new Sandbox(silent.url, { timeout: 50 }).orgs(), sandboxError(/no answer within 50 ms/, 0));
});

test('an invalid URL or name is an error at once', () => {
  assert.throws(() => new Sandbox('localhost:8080'), sandboxError(/neither http nor https/));
  assert.throws(() => new Sandbox('nowhere'), sandboxError(/"nowhere" is not a URL/));
  assert.throws(() => new Sandbox(url, { fetch: null }), sandboxError(/fetch is missing/));
  assert.throws(() => sandbox.org(''), sandboxError(/an org needs a name/));
  assert.equal(new Sandbox('http://localhost:8080/__admin/').url, 'http://localhost:8080');
});

test('a server with an admin token requires it', { skip: !process.env.SANDBOX_CLOSED_URL }, async () => {
  const closed = process.env.SANDBOX_CLOSED_URL;

  await assert.rejects(new Sandbox(closed).orgs(), sandboxError(/SANDBOX_ADMIN_TOKEN.*new Sandbox\(url, \{token\}\)/, 401));
  assert.deepEqual(await new Sandbox(closed, { token: 'closed' }).orgs(), []);
});

test('the package and the code have the same version', () => {
  const manifest = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8'));

  assert.equal(manifest.version, VERSION);
  assert.equal(manifest.dependencies, undefined);
});
