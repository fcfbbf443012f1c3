// Signs a person in with the authorization code flow and PKCE, and asks the server who it is.
const base64url = (bytes) =>
    btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)));

async function leave() {
    const [verifier, state] = [random(), random()];
    sessionStorage.setItem("verifier", verifier);
    sessionStorage.setItem("state", state);
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier));
    location.href = `${settings.authorizationEndpoint}?${new URLSearchParams({
        client_id: settings.clientId,
        redirect_uri: settings.redirectUri,
        response_type: "code",
        scope: "openid",
        state,
        code_challenge: base64url(new Uint8Array(digest)),
        code_challenge_method: "S256",
    })}`;
}

async function arrive(answer) {
    if (answer.get("state") !== sessionStorage.getItem("state")) {
        throw new Error("this is not the answer to our question");
    }
    const reply = await fetch(settings.tokenEndpoint, {
        method: "POST",
        body: new URLSearchParams({
            grant_type: "authorization_code",
            client_id: settings.clientId,
            redirect_uri: settings.redirectUri,
            code: answer.get("code"),
            code_verifier: sessionStorage.getItem("verifier"),
        }),
    });
    const tokens = await reply.json();
    // In the body, as RFC 6750 section 2.2 has it: with a header, the browser would send a preflight, which names no client.
    const token = new URLSearchParams({ access_token: tokens.access_token });
    const person = await (await fetch(settings.userinfoEndpoint, { method: "POST", body: token })).json();
    document.body.textContent = `Signed in as ${person.sub}.`;
}

const answer = new URLSearchParams(location.search);
(answer.has("code") ? arrive(answer) : leave()).catch((error) => {
    document.body.textContent = `Nobody is signed in: ${error}`;
});
