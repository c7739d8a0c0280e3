"""Port mapping: asking the home router for a door that opens from outside.

mapper     what the rest of the program uses; renews, removes
gateway    which router answers for an address of ours, and in which tongue
tongues    PCP with NAT-PMP below it, and UPnP, each as the same three verbs
talk       questions over UDP and HTTP, bounded

pcp natpmp ssdp soap http markup routes mapping     pure: bytes and texts
"""
