-- A refresh of an AuthorizationServer compares everything on the server at once.
return { ["refresh"] = { ["disabled"] = false } }
