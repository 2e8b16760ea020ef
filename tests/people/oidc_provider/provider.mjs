// The certified provider "oidc-provider" on this machine, with one client and accounts of any name.
// node provider.mjs NODE_MODULES ISSUER REDIRECT_URI POST_LOGOUT_URI; prints one line once it listens.
import path from "node:path";
import readline from "node:readline";
import { pathToFileURL } from "node:url";

const [modules, issuer, redirectUri, afterLogout] = process.argv.slice(2);
const entry = path.join(modules, "oidc-provider", "lib", "index.js");
const { default: Provider } = await import(pathToFileURL(entry));

// Lines of standard input: NAME GROUP,GROUP; each is answered by a line.
const groups = new Map();
const account = (name) => ({
  accountId: name,
  claims: async () => ({
    sub: name,
    email: `${name}@example.org`,
    email_verified: true,
    groups: groups.get(name) ?? [],
  }),
});

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: "tollbook",
      client_secret: "a secret of the client, of 32 bytes or more",
      redirect_uris: [redirectUri],
      post_logout_redirect_uris: [afterLogout],
      grant_types: ["authorization_code"],
      response_types: ["code"],
    },
  ],
  pkce: { required: () => true },
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"], groups: ["groups"] },
  scopes: ["openid", "email", "profile", "groups"],
  findAccount: async (_context, id) => account(id),
  cookies: { keys: ["only for tests"] },
  features: { devInteractions: { enabled: true } },
});
provider.listen(Number(new URL(issuer).port), "127.0.0.1", () => console.log("listening"));
const lines = readline.createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const [name, given] = line.split(" ");
  groups.set(name, given.split(","));
  console.log("known");
});
lines.on("close", () => process.exit(0));
