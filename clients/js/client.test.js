// The client against a real server (SANDBOX_URL), and, for what only trouble shows, against small servers of its own.
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

/** A world with a card, whose clock stands still. */
async function world() {
  const org = sandbox.org();
  await org.clock.freeze(new Date('2030-01-01T00:00:00Z'));
  await org.seed({ enfore: { gift_cards: [CARD] } });
  return org;
}

/** What the client under test would do: read the card. */
async function read(org, id = 'gc-1') {
  const headers = { Authorization: `Bearer ${await org.token('enfore')}` };
  return fetch(`${await org.url('enfore', 'promotions')}${CARDS}/${id}`, { headers });
}

/** A server that answers /__admin/version as ours does, and the rest with `answer(request, body)`. */
async function fake(t, answer, version = VERSION) {
  const seen = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (piece) => (body += piece));
    request.on('end', () => {
      const known = request.url === '/__admin/version';
      if (!known) seen.push([request.method, request.url, body && JSON.parse(body)]);
      const said = known ? { version, specs: [] } : answer(request, body);
      if (said === undefined) return; // never
      response.end(typeof said === 'string' ? said : JSON.stringify(said));
    });
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${server.address().port}`, seen };
}

const rejection = (message, status) => (error) => {
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
  await assert.rejects(org.url('enfor'), rejection(/no vendor enfor; there are emporix, enfore, norce/));
  await assert.rejects(org.url('enfore', 'x'), rejection(/enfore has no API x; there are .*promotions/));
});

test('what is seeded is there for the vendor’s client, with a token', async () => {
  const org = await world();

  const response = await read(org);

  assert.equal(response.status, 200);
  assert.equal((await response.json()).name, 'Till');
  assert.equal((await org.state()).documents.enfore.gift_cards.length, 1);
  assert.equal((await org.info()).documents, 1);
  assert.ok((await sandbox.orgs()).some(({ name }) => name === org.name));
});

test('time stands still, passes and goes on', async () => {
  const org = await world();

  assert.equal((await org.clock.now()).toISOString(), '2030-01-01T00:00:00.000Z');
  assert.deepEqual(await org.clock.advance(90), []);
  assert.equal((await org.clock.now()).toISOString(), '2030-01-01T00:01:30.000Z');
  const happened = await org.clock.advance('P1Y');
  assert.deepEqual(happened.map(({ event, id }) => [event, id]), [['expire-gift-card', 'gc-1']]);
  await org.clock.advance({ to: '2032-01-01T00:00:00Z' });
  await org.clock.advance(new Date('2033-01-01T00:00:00Z'));
  assert.equal((await org.clock.set('2034-01-01T00:00:00Z')).frozen, true);
  assert.equal((await org.clock.run()).frozen, false);
  await assert.rejects(org.clock.advance('soon'), rejection(/does not match|by/, 400));
});

test('the next calls of an operation meet what is armed', async () => {
  const org = await world();

  assert.deepEqual(await org.next('getGiftCard', { reject: 'unknown-gift-card' }, { times: 2 }), [
    { operation: 'getGiftCard', then: { reject: 'unknown-gift-card' }, times: 2 },
  ]);
  assert.equal((await read(org)).status, 404);
  assert.equal((await org.armed())[0].times, 1);
  await org.disarm();
  assert.equal((await read(org)).status, 200);
  await assert.rejects(org.next('getGiftcard', { cut: 'after' }), rejection(/did you mean getGiftCard/, 400));
});

test('the journal is asked by criteria', async () => {
  const org = await world();
  const exchange = (await read(org, 'none')).headers.get('sandbox-exchange');
  await read(org);

  assert.equal((await org.requests()).length, 2);
  assert.deepEqual((await org.requests({ rejected: true })).map(({ id }) => String(id)), [exchange]);
  assert.equal((await org.request(exchange)).rejection, 'unknown-gift-card');
  assert.equal(await org.count({ operation: 'getGiftCard', status: 200 }), 1);
  assert.deepEqual(await org.events('product-voucher-changed'), []);
  await org.clearRequests();
  assert.equal(await org.count(), 0);
  await assert.rejects(org.request(7), rejection(/no exchange 7/, 404));
});

test('a scenario is followed by its name, as a document and as YAML', async () => {
  const org = sandbox.org();
  const [{ name }] = await sandbox.scenarios();

  assert.equal((await org.scenario(name)).name, name);
  assert.equal((await org.scenario({ steps: [{ operation: 'getGiftCard', then: { cut: 'after' } }] })).unmet.length, 1);
  assert.equal((await org.scenario('steps:\n  - operation: getGiftCard\n    then: {cut: after}\n')).current, 1);
  await assert.rejects(read(org), TypeError); // what it was scripted to be: a lost connection
  assert.deepEqual((await org.progress()).unmet, []);
  await org.endScenario();
  await assert.rejects(org.progress(), rejection(/has no scenario/, 404));
  await assert.rejects(org.scenario('enfore/lost-replay'), rejection(/no scenario enfore\/lost-replay/, 400));
});

test('a document that is refused says what is wrong where', async () => {
  const wrong = { steps: [{ operation: 'getGiftcard' }] };

  await assert.rejects(sandbox.org().scenario(wrong), (error) => {
    assert.deepEqual(error.errors.map(({ pointer }) => pointer), ['/steps/0/operation']);
    return rejection(/did you mean getGiftCard/, 400)(error);
  });
});

test('an org is named, gone back to, reset, moved and forgotten', async () => {
  const org = await world();
  const moved = sandbox.org();

  await org.snapshots.take('before/after');
  await org.reset();
  assert.equal((await read(org)).status, 404);
  await org.snapshots.take('after/it');
  assert.deepEqual((await org.snapshots.list()).map(({ name }) => name), ['after/it']);
  await assert.rejects(org.snapshots.drop('..'), rejection(/"\.\." can be no name/));
  await moved.import(await (await world()).export());
  assert.equal((await read(moved)).status, 200);
  await moved.snapshots.take('now');
  const state = await moved.state();
  await moved.putState({ documents: {} });
  assert.equal((await read(moved)).status, 404);
  await moved.snapshots.restore('now');
  assert.equal((await read(moved)).status, 200);
  await moved.snapshots.drop('now');
  await moved.putState(state);
  await org.forget();
  await org.forget();
  await assert.rejects(org.info(), rejection(/No request has named an org/, 404));
});

test('coverage counts what the clients of an org have met', async () => {
  const org = await world();
  await read(org);

  const { totals, vendors } = await org.coverage({ vendor: 'enfore' });

  assert.equal(totals.operations.covered, 1);
  assert.deepEqual(vendors.map(({ vendor }) => vendor), ['enfore']);
});

test('webhooks are listed, waited for, flushed, sent again and rewritten', async (t) => {
  const webhook = { id: 1, event: 'gift-card-changed', status: 'delivered' };
  const answers = {
    GET: ({ url }) => (url.includes('rewrites') ? { rewrites: [{ from: 'a', to: 'b' }] } : { total: 1, webhooks: [webhook] }),
    POST: ({ url }) => (url.endsWith('flush') ? { attempted: 1, delivered: 1, waiting: 0 } : webhook),
    PUT: (_, body) => JSON.parse(body),
  };
  const server = await fake(t, (request, body) => answers[request.method](request, body));
  const { webhooks } = new Sandbox(server.url).org('t/1');

  assert.deepEqual(await webhooks.list({ event: 'gift-card-changed', status: undefined }), [webhook]);
  assert.deepEqual(await webhooks.wait({ since: 0, timeout: 0.5 }), [webhook]);
  await assert.rejects(webhooks.wait({ count: 2 }), rejection(/2 webhooks were awaited and 1 came within 5 s: gift-card-changed \(delivered\)/));
  assert.equal((await webhooks.flush()).delivered, 1);
  assert.deepEqual(await webhooks.redeliver(1), webhook);
  assert.deepEqual(await webhooks.rewrites(), { a: 'b' });
  assert.deepEqual(await webhooks.rewrite({ 'https://a/': 'http://b/' }), { 'https://a/': 'http://b/' });
  assert.deepEqual(server.seen, [
    ['GET', '/__admin/orgs/t%2F1/webhooks?event=gift-card-changed', ''],
    ['GET', '/__admin/orgs/t%2F1/webhooks?limit=100&since=0&count=1&wait=0.5s', ''],
    ['GET', '/__admin/orgs/t%2F1/webhooks?limit=100&count=2&wait=5s', ''],
    ['POST', '/__admin/orgs/t%2F1/webhooks/flush', ''],
    ['POST', '/__admin/orgs/t%2F1/webhooks/1/redeliver', ''],
    ['GET', '/__admin/orgs/t%2F1/webhooks/rewrites', ''],
    ['PUT', '/__admin/orgs/t%2F1/webhooks/rewrites', { rewrites: [{ from: 'https://a/', to: 'http://b/' }] }],
  ]);
});

test('an option that there is not is refused with the nearest, before anything is asked', async () => {
  const org = new Sandbox('http://127.0.0.1:9').org('t1');

  assert.throws(() => new Sandbox('http://127.0.0.1:9', { tokn: 'x' }), rejection(/^new Sandbox has no "tokn"; did you mean "token"\?$/));
  await assert.rejects(org.webhooks.wait({ timeot: 1 }), rejection(/^webhooks\.wait has no "timeot"; did you mean "timeout"\?$/));
  await assert.rejects(org.webhooks.wait({ seconds: 1 }), rejection(/has no "seconds"; there are count, timeout, subscription, event/));
  await assert.rejects(org.webhooks.list({ stauts: 'dead' }), rejection(/webhooks\.list has no "stauts"; did you mean "status"\?/));
  await assert.rejects(org.requests({ operaton: 'getGiftCard' }), rejection(/requests has no "operaton"; did you mean "operation"\?/));
  await assert.rejects(org.count({ unmached: true }), rejection(/count has no "unmached"; did you mean "unmatched"\?/));
  await assert.rejects(org.next('getGiftCard', { cut: 'after' }, { time: 2 }), rejection(/next has no "time"; did you mean "times"\?/));
  await assert.rejects(org.next('getGiftCard', { cut: 'after' }, 2), rejection(/next takes an object of options, such as \{times\}, not 2/));
  await assert.rejects(org.token('enfore', { expires_in: 2 }), rejection(/token has no "expires_in"; did you mean "expiresIn"\?/));
});

test('one webhook that does not come is one', async (t) => {
  const server = await fake(t, () => ({ webhooks: [] }));

  const waited = new Sandbox(server.url).org('t1').webhooks.wait({ timeout: 0.1 });

  await assert.rejects(waited, rejection(/^1 webhook was awaited and 0 came within 0\.1 s: none$/));
});

test('who waits for webhooks waits longer than for any other answer', async () => {
  const org = new Sandbox(url).org();
  await org.reset();

  for (const wrong of [61, -1, Infinity, 'soon']) {
    await assert.rejects(org.webhooks.wait({ timeout: wrong }), rejection(/wait/, 400));
  }
  for (let seconds = 1; ; seconds *= 4) { // a busy machine may take a second for any answer
    const hasty = new Sandbox(url, { timeout: 1000 * seconds }).org(org.name);
    try {
      const said = new RegExp(`^1 webhook was awaited and 0 came within ${seconds}\\.1 s: none$`);
      await assert.rejects(hasty.webhooks.wait({ timeout: seconds + 0.1 }), rejection(said));
      break;
    } catch (error) {
      if (seconds > 10) throw error;
    }
  }
});

test('what answers nothing or anything else to being asked its version is no sandbox', async (t) => {
  for (const version of ['', 'null', '[]', '{}', '{"version":"0.1.0"}']) {
    const server = createServer((_, response) => response.end(version));
    await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
    t.after(() => server.close());

    await assert.rejects(new Sandbox(`http://127.0.0.1:${server.address().port}`).orgs(), rejection(/is no Promo Sandbox: it answered/, 0));
  }
});

test('a server that is not there, no sandbox, of another version or silent is told in one sentence', async (t) => {
  const other = await fake(t, () => ({}), '9.9.9');
  const silent = await fake(t, () => undefined);
  const page = await fake(t, () => '<html>');

  await assert.rejects(new Sandbox('http://127.0.0.1:9').orgs(), rejection(/127\.0\.0\.1:9 does not answer \(.*\); is the sandbox running there\?/, 0));
  await assert.rejects(new Sandbox(page.url).orgs(), rejection(/is no Promo Sandbox: it answered 200 to GET \/__admin\/orgs$/));
  await assert.rejects(new Sandbox(other.url).orgs(), rejection(/is Promo Sandbox 9\.9\.9 and this client .*: install promo-sandbox-client@9\.9\.9/));
  await assert.rejects(new Sandbox(silent.url, { timeout: 50 }).orgs(), rejection(/no answer within 50 ms/, 0));
});

test('what is no URL and no name is told at once', () => {
  assert.throws(() => new Sandbox('localhost:8080'), rejection(/neither http nor https/));
  assert.throws(() => new Sandbox('nowhere'), rejection(/"nowhere" is no URL/));
  assert.throws(() => new Sandbox(url, { fetch: null }), rejection(/there is no fetch here/));
  assert.throws(() => sandbox.org(''), rejection(/an org has a name/));
  assert.equal(new Sandbox('http://localhost:8080/__admin/').url, 'http://localhost:8080');
});

test('a closed server wants its token', { skip: !process.env.SANDBOX_CLOSED_URL }, async () => {
  const closed = process.env.SANDBOX_CLOSED_URL;

  await assert.rejects(new Sandbox(closed).orgs(), rejection(/SANDBOX_ADMIN_TOKEN.*new Sandbox\(url, \{token\}\)/, 401));
  assert.deepEqual(await new Sandbox(closed, { token: 'closed' }).orgs(), []);
});

test('the package is of the version that it says', () => {
  const manifest = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8'));

  assert.equal(manifest.version, VERSION);
  assert.equal(manifest.dependencies, undefined);
});
