import { buildPage } from "./build/page.ts";

/** Makes the agent's page for a checkout, in web/dist; releases make it anew, smaller and without source maps. */
await buildPage(process.cwd(), { minify: false });
