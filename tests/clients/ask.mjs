// Asks once, as JavaScript does that has nothing but `fetch`, and prints what it is answered:
//   node ask.mjs METHOD URL TIMEOUT_MS [BODY]
// A first request, to the second URL if there is one, leaves a connection that is kept and used again.

const [method, url, timeout, body, first] = process.argv.slice(2);
const headers = { Authorization: "Bearer any", "Content-Type": "application/json" };

if (first) await (await fetch(first, { headers })).text();
try {
  const response = await fetch(url, { method, headers, body: body || undefined, signal: AbortSignal.timeout(Number(timeout)) });
  await response.json();
  console.log(response.status);
} catch (error) {
  console.log(`${error.name}: ${error.message}`);
}
