// node-oidc-provider, which OpenID certified, with accounts of a test: node provider.mjs CONFIG
// CONFIG: JSON of {port, redirect_uris, client_id, client_secret, groups: {account: [group]}, scopes}
// GET /as/ACCOUNT says who signs in from then on; nobody until then.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { Provider } from "oidc-provider";

const config = JSON.parse(readFileSync(process.argv[2], "utf8"));
const issuer = `http://127.0.0.1:${config.port}`;
let account = null;

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: config.client_id,
      client_secret: config.client_secret,
      redirect_uris: config.redirect_uris,
      response_types: ["code"],
      grant_types: ["authorization_code"],
      token_endpoint_auth_method: "client_secret_basic",
    },
  ],
  cookies: { keys: ["of a test"] },
  features: { devInteractions: { enabled: false } },
  pkce: { required: () => true },
  conformIdTokenClaims: false,
  claims: { openid: ["sub", "groups"] },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, groups: config.groups[id] }) }),
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
});

async function interact(request, response) {
  const { prompt, params, session } = await provider.interactionDetails(request, response);
  let result;
  if (account === null) result = { error: "access_denied", error_description: "nobody is here" };
  else if (prompt.name === "login") result = { login: { accountId: account, remember: false } };
  else {
    const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
    grant.addOIDCScope("openid");
    result = { consent: { grantId: await grant.save() } };
  }
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true });
}

const answer = provider.callback();
createServer((request, response) => {
  const [, first, second] = request.url.split("/");
  if (first === "as") {
    account = second || null;
    response.end();
  } else if (first === "interaction") {
    interact(request, response).catch((error) => {
      response.statusCode = 500;
      response.end(String(error));
    });
  } else answer(request, response);
}).listen(config.port, "127.0.0.1", () => console.log(issuer));
