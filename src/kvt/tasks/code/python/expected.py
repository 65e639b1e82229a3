# Canonical texts of expected outputs: a JSON list of JSON texts in, one line each out; "!" for what is not JSON.
for text in json.load(sys.stdin):
    try:
        print(canonical(json.loads(text), "no nan"))
    except ValueError:
        print("!")
