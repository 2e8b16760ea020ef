// The certified provider "oidc-provider" on this machine, with one client and accounts of any name.
// node provider.mjs NODE_MODULES ISSUER REDIRECT_URI POST_LOGOUT_URI; prints one line once it listens.
import path from "node:path";
import { pathToFileURL } from "node:url";

const [modules, issuer, redirectUri, afterLogout] = process.argv.slice(2);
const entry = path.join(modules, "oidc-provider", "lib", "index.js");
const { default: Provider } = await import(pathToFileURL(entry));

// LOGIN is NAME or NAME:GROUP,GROUP
const account = (id) => {
  const [name, groups = ""] = id.split(":");
  return {
    accountId: id,
    claims: async () => ({
      sub: `sub-${name}`,
      email: `${name}@example.org`,
      email_verified: true,
      groups: groups ? groups.split("+") : [],
    }),
  };
};

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
process.stdin.on("end", () => process.exit(0)).resume();
