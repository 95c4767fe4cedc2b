// A storefront that knows nothing but Emporix's documentation and has nothing but `fetch`:
//   node storefront.mjs BASE_URL TENANT MANNER
// A customer signs up, earns points, exchanges them for a coupon, redeems it, and is rejected the second time.
// MANNER is `sdk` (today's names, as an SDK sends and reads them) or `showcase` (the former ones, as in the vendor's shop).
// Prints what it saw as JSON; whatever is not as documented ends it with an error.

import assert from "node:assert/strict";

const [base, tenant, manner] = process.argv.slice(2);

async function ask(method, path, { token, json, form, language = "en", status }) {
  const headers = { "Emporix-Tenant": tenant, "Accept-Language": language };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (json !== undefined) headers["Content-Type"] = "application/json";
  const body = form ? new URLSearchParams(form) : json !== undefined ? JSON.stringify(json) : undefined;
  const response = await fetch(base + path, { method, headers, body });
  const text = await response.text();
  assert.equal(response.status, status, `${method} ${path}: ${response.status} ${text}`);
  return text === "" ? undefined : JSON.parse(text);
}

const manners = {
  sdk: {
    anonymousLogin: new URLSearchParams({ tenant, client_id: "storefront", currency: "EUR", siteCode: "main" }),
    session: (token) => ({
      token: token.access_token,
      saasToken: token.saas_token,
      refreshToken: token.refresh_token,
      lives: token.expires_in,
      refreshLives: token.refresh_token_expires_in,
    }),
    me: "",
    options: `/reward-points/${tenant}/redeemOptions`,
    redeem: "/reward-points/public/customer/redeem",
  },
  showcase: {
    anonymousLogin: new URLSearchParams({ "hybris-tenant": tenant, client_id: "storefront" }),
    session: (token) => ({
      token: token.accessToken,
      saasToken: token.saasToken,
      refreshToken: token.refreshToken,
      lives: token.expiresIn,
      refreshLives: token.refreshTokenExpiresIn,
    }),
    me: "?expand=addresses,mixin:*",
    options: "/reward-points/public/customer/redeemOptions",
    redeem: "/reward-points/public/customer/redeem?siteCode=main",
  },
};
const { anonymousLogin, session, me, options, redeem } = manners[manner];

// The employee's side: a service token, and something to get for points.

const grantedScopes = "rewardspoints.rewardpoints_manage coupon.coupon_manage";
const service = await ask("POST", "/oauth/token", {
  form: {
    grant_type: "client_credentials",
    client_id: "backoffice",
    client_secret: "geheim",
    scope: `${grantedScopes} tenant=${tenant}`,
  },
  status: 200,
});
assert.equal(service.token_type, "Bearer");
assert.ok(service.scope.endsWith(`tenant=${tenant}`));

const created = await ask("POST", `/reward-points/${tenant}/redeemOptions`, {
  token: service.access_token,
  json: {
    name: "Ten per cent",
    description: "10 % off the next order",
    type: "coupon",
    points: 100,
    coupon: { name: "Ten per cent", discountType: "PERCENT", discountPercentage: 10, maxRedemptions: 1 },
  },
  status: 200,
});
assert.equal(created.length, 1);

// The customer's side.

const visitor = await ask("GET", `/customerlogin/auth/anonymous/login?${anonymousLogin}`, { status: 200 });
assert.ok(visitor.sessionId);

const credentials = { email: `ada.${manner}@example.com`, password: "geheim-genug" };
const { id: customerNumber } = await ask("POST", `/customer/${tenant}/signup`, {
  token: visitor.access_token,
  json: { ...credentials, customerDetails: { firstName: "Ada", lastName: "Berg", preferredCurrency: "EUR" } },
  status: 201,
});
const login = await ask("POST", `/customer/${tenant}/login`, {
  token: visitor.access_token,
  json: credentials,
  status: 200,
});
const { token, saasToken, refreshToken, lives, refreshLives } = session(login);
assert.ok(token && saasToken && refreshToken);
assert.deepEqual([lives, refreshLives], [2591999, 86399]);
assert.equal(login.session_id, visitor.sessionId);

const profile = await ask("GET", `/customer/${tenant}/me${me}`, { token, status: 200 });
assert.deepEqual([profile.customerNumber, profile.firstName], [customerNumber, "Ada"]);

await ask("POST", `/reward-points/customer/${customerNumber}/addPoints`, {
  token: service.access_token,
  json: { points: 250, description: "Order 1" },
  status: 201,
});
assert.equal(await ask("GET", "/reward-points/public/customer", { token, status: 200 }), 250);

const [option] = await ask("GET", options, { token, status: 200 });
assert.deepEqual([option.id, option.points], [created[0].id, 100]);

const { code } = await ask("POST", redeem, { token, json: { id: option.id }, status: manner === "sdk" ? 200 : 201 });
assert.match(code, /^LLS-/);
assert.equal(await ask("GET", "/reward-points/public/customer", { token, status: 200 }), 150);

const coupon = await ask("GET", `/coupon/${tenant}/coupons/${encodeURIComponent(code)}`, { token, status: 200 });
assert.deepEqual([coupon.code, coupon.status, coupon.discountPercentage], [code, "VALID", 10]);

const redemptions = `/coupon/${tenant}/coupons/${encodeURIComponent(code)}/redemptions`;
const order = {
  orderCode: "order-1",
  orderTotal: { amount: 369.07, currency: "EUR" },
  discount: { amount: 36.91, currency: "EUR" },
};
const redemption = await ask("POST", redemptions, { token, json: order, status: 201 });
assert.ok(redemption.id);
const rejection = await ask("POST", redemptions, { token, json: { ...order, orderCode: "order-2" }, status: 400 });

await ask("GET", `/customer/${tenant}/logout?accessToken=${encodeURIComponent(token)}`, { token, status: 204 });
const afterwards = await ask("GET", `/customer/${tenant}/me`, { token, status: 401 });

console.log(JSON.stringify({ customerNumber, code, redemption: redemption.id, rejection, afterwards }));
